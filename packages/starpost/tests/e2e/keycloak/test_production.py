"""Production before a realm whose passwords everybody knows, and with what it accepts only by name."""

from pathlib import Path

import pytest

from starpost.testing import serving
from starpost.testing.issuer import Issuer
from starpost.testing.launched import Launched
from starpost_dev.services.services import Services
from starpost_dev.testing.realm import IdentityServer
from tests.e2e.keycloak.conftest import settings_of
from tests.specimen import SPECIMEN

PRODUCTION = {
    "ENVIRONMENT": "production",
    "ALLOWED_HOSTS": "127.0.0.1",
    "KEYCLOAK_ADMIN_PASSWORD": "a secret of our own",
    "WS_QUERY_TOKEN": "false",
}


def test_production_does_not_start_on_the_shipped_realm(
    services: Services, server: IdentityServer, tmp_path: Path
) -> None:
    environ = services.environment() | PRODUCTION | settings_of(server, "production")
    with Launched(tmp_path, target=SPECIMEN, **environ) as launched:
        assert launched.ended() == 1
    line = launched.lines("not_started")[0]
    named = "is the development realm" if server.is_development else "was made from the shipped realm file"
    assert named in line["reason"]


def test_production_refuses_at_once_all_that_is_insecure(tmp_path: Path) -> None:
    environ = PRODUCTION | {
        "REDIS_IP": "10.255.0.1",
        "DB_HOST": "10.255.0.1",
        "DB_PASSWORD": "hunter2",
        "KEYCLOAK_BASE_URL": "http://10.255.0.1",
        "WS_QUERY_TOKEN": "true",
    }
    with Launched(tmp_path, target=SPECIMEN, **environ) as launched:
        assert launched.ended() == 2
    refused = launched.output.read_text()
    for name in ("REDIS_PASSWORD", "REDIS_TLS", "DB_SSL", "KEYCLOAK_BASE_URL", "WS_QUERY_TOKEN"):
        assert f"  {name}: " in refused
    assert "hunter2" not in refused


@pytest.mark.parametrize("accepted", ["query_token", ""])
def test_what_production_accepts_by_name_is_said_at_the_start(
    services: Services, issuer: Issuer, tmp_path: Path, accepted: str
) -> None:
    """On this machine alone nothing else has to be accepted."""
    environ = PRODUCTION | {
        "KEYCLOAK_BASE_URL": issuer.base_url,
        "WS_QUERY_TOKEN": "true" if accepted else "false",
        "ALLOW_INSECURE": accepted,
    }
    with serving(services.environment(), tmp_path, SPECIMEN, **environ) as launched:
        said = launched.lines("insecure_in_production")
        assert [line["accepted"].partition(":")[0] for line in said] == (["WS_QUERY_TOKEN"] if accepted else [])
        assert {line["level"] for line in said} <= {"warning"}
