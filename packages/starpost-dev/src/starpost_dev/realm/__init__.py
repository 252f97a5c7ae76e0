"""Development realm: Keycloak's endpoints for a machine that has only Python.

It reads the realm file that the real Keycloak imports, and signs with real RSA keys, so that the application and its
tests need no other code for it. It is for development and tests: it listens on loopback addresses only, and marks
itself (``"development_realm": true`` in the realm's page and in its discovery document), so that production refuses
it::

    from starpost_dev.realm.process import RealmProcess

    realm = RealmProcess(state=Path("state"))
    print(realm.start())        # http://127.0.0.1:PORT
    realm.stop()

The tests in ``tests/keycloak`` compare it with the real server: a difference is a fault of this package.
"""
