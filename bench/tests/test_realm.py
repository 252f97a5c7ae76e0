from bench.realm import SigningRealm
from starpost.auth import RealmVerifier
from starpost.settings import Settings


async def test_its_tokens_are_accepted_in_production() -> None:
    with SigningRealm() as realm:
        environ = {
            "ENVIRONMENT": "production",
            "KEYCLOAK_BASE_URL": realm.base_url,
            "KEYCLOAK_ADMIN_PASSWORD": "x",
            "DB_PASSWORD": "x",
            "WS_QUERY_TOKEN": "false",
            "ALLOWED_HOSTS": "127.0.0.1",
        }
        verifier = RealmVerifier(Settings.from_strings(environ))
        await verifier.warm_up()
        principal = await verifier.verify(realm.token("alice", "author-reader"))
        await verifier.close()
    assert principal.username == "alice"
    assert "author-reader" in principal.roles
