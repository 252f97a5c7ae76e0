import pytest
from structlog.testing import capture_logs

from starpost.auth.realm import DevelopmentRealmError, RealmClient
from starpost.errors import UnavailableError
from starpost.testing.issuer import Issuer

PRODUCTION = {
    "ENVIRONMENT": "production",
    "ALLOWED_HOSTS": "app.example.org",
    "KEYCLOAK_ADMIN_PASSWORD": "x",
    "DB_PASSWORD": "y",
    "REDIS_PASSWORD": "z",
    "WS_QUERY_TOKEN": "false",
}


async def test_the_keys_are_fetched_from_where_keycloak_is_reached(issuer: Issuer) -> None:
    with capture_logs() as logs:
        client = RealmClient(issuer.settings(KEYCLOAK_PUBLIC_URL="https://keycloak.example"))
        document = await client.fetch_jwks()
        await client.fetch_jwks()
        await client.close()

    assert b'"rsa-1"' in document
    assert [entry["event"] for entry in logs] == ["issuer_differs"], "said once, with what tokens must say"
    assert logs[0]["tokens_must_say"] == "https://keycloak.example/realms/starpost"


async def test_an_issuer_that_agrees_is_nothing_to_log(issuer: Issuer) -> None:
    with capture_logs() as logs:
        client = RealmClient(issuer.settings())
        await client.fetch_jwks()
        await client.close()

    assert logs == []


@pytest.mark.parametrize("metadata", [{"issuer": 7}, {"issuer": None}, {"development_realm": "no"}])
async def test_a_malformed_discovery_document_is_an_outage(issuer: Issuer, metadata: dict[str, object]) -> None:
    issuer.metadata = metadata
    client = RealmClient(issuer.settings())
    with pytest.raises(UnavailableError, match="malformed"):
        await client.fetch_jwks()
    await client.close()


@pytest.mark.parametrize("status", [301, 404, 500, 503])
async def test_anything_but_success_is_an_outage(issuer: Issuer, status: int) -> None:
    issuer.status = status
    client = RealmClient(issuer.settings())
    with pytest.raises(UnavailableError):
        await client.fetch_jwks()
    await client.close()


@pytest.mark.parametrize(
    "metadata", [{"development_realm": True}, {"acr_values_supported": ["0", "1", "development-realm"]}]
)
async def test_production_never_takes_keys_of_the_development_realm(
    issuer: Issuer, metadata: dict[str, object]
) -> None:
    issuer.metadata = metadata
    client = RealmClient(issuer.settings(**PRODUCTION))
    for _ in range(2):
        with pytest.raises(DevelopmentRealmError):
            await client.fetch_jwks()
    await client.close()
    assert issuer.jwks_fetches == 0


async def test_production_takes_the_shipped_realm_where_it_is_accepted_and_says_so(issuer: Issuer) -> None:
    issuer.metadata = {"acr_values_supported": ["development-realm"]}
    with capture_logs() as logs:
        client = RealmClient(issuer.settings(**PRODUCTION, ALLOW_INSECURE="shipped_realm"))
        await client.fetch_jwks()
        await client.close()
    assert [entry["event"] for entry in logs] == ["insecure_in_production"]


async def test_nothing_accepts_the_development_realm_itself(issuer: Issuer) -> None:
    issuer.metadata = {"development_realm": True}
    client = RealmClient(issuer.settings(**PRODUCTION, ALLOW_INSECURE="shipped_realm"))
    with pytest.raises(DevelopmentRealmError):
        await client.fetch_jwks()
    await client.close()


async def test_a_closed_client_can_be_used_again(issuer: Issuer) -> None:
    client = RealmClient(issuer.settings())
    await client.close()
    await client.fetch_jwks()
    await client.close()
    assert issuer.jwks_fetches == 1
