"""The development realm: Keycloak's endpoints for a machine that has only Python.

It reads the same realm file that the real Keycloak imports and signs with real RSA keys, so that the application and
its tests need no other code for it. It is for development and tests: it listens on the loopback alone and says so of
itself (``"development_realm": true`` in the realm's page and in its discovery document), which production refuses.

The tests in ``tests/keycloak`` hold it to the real server: a difference found there is a fault of this package.
"""
