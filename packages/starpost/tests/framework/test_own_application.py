"""An application with settings of its own, by the face alone: loaded, checked and injected like the framework's."""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from uuid import UUID

import httpx
import pytest
from msgspec import Meta

import starpost
from starpost.observability.masking import mask_secrets
from starpost.settings import Secret, SettingsError
from starpost.testing import Issuer, Launched, Serve, packet_client
from tests.framework import notes
from tests.framework.notes import NoteID, Settings
from tests.framework.test_settings import PRODUCTION

TARGET = "tests.framework.notes_application:create"


def faults_of(kind: type[starpost.Settings], environ: Mapping[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        kind.from_strings(environ)
    return [line.strip() for line in str(refused.value).splitlines()[1:]]


def test_the_domain_imports_the_face_alone() -> None:
    """What it annotates is there; that mypy --strict accepts it, ``make check`` says."""
    tree = ast.parse(Path(notes.__file__).read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules = {str(module) for module in imported}
    assert {module for module in modules if module.startswith("starpost")} == {"starpost"}
    assert {module.partition(".")[0] for module in modules} <= {
        "starpost", "litestar", "msgspec", "sqlalchemy", "collections", "enum", "typing"
    }  # fmt: skip


# ---- loaded and checked ----------------------------------------------------------------------------------------------


def test_own_fields_are_loaded() -> None:
    settings = Settings.from_strings({"GREETING": "Ahoy", "MAX_NOTES": " 7 ", "PORT": "8123"})
    assert (settings.greeting, settings.max_notes, settings.port) == ("Ahoy", 7, 8123)
    assert settings.courier_password == "courier"


def test_a_wrong_own_value_is_named_with_all_others() -> None:
    assert faults_of(Settings, {"MAX_NOTES": "0", "GREETING": "", "PORT": "x"}) == [
        "GREETING: Expected `str` of length >= 1 (got '')",
        "MAX_NOTES: Expected `int` >= 1 (got '0')",
        "PORT: Expected `int`, got `str` (got 'x')",
    ]


def test_an_own_secret_is_masked() -> None:
    settings = Settings.from_strings({"COURIER_PASSWORD": "of the courier"})
    assert "of the courier" not in repr(settings)
    event = mask_secrets(None, "info", {"event": "x", "it": settings.courier_password, "settings": settings})
    assert "of the courier" not in str(event)


def test_its_development_default_is_refused_in_production() -> None:
    own = {**PRODUCTION, "COURIER_PASSWORD": "a secret of our own"}
    assert Settings.from_strings(own).is_production
    assert faults_of(Settings, PRODUCTION) == ["COURIER_PASSWORD: still the development default"]


class Wanting(starpost.Settings, frozen=True, kw_only=True):
    """Kinds of fields that the framework itself has none of."""

    address: Annotated[str, Meta(description="needed")]
    key: Annotated[Secret, Meta(min_length=1, description="needed")]
    folder: Path = Path()
    shares: tuple[int, ...] = ()
    token: Secret | None = None
    id: UUID | None = None

    def faults(self) -> list[str]:
        """Judge the address, too."""
        return [*super().faults(), *(["ADDRESS: not example.org"] if self.address == "example.org" else [])]


def test_fields_without_a_default_are_needed() -> None:
    assert faults_of(Wanting, {"PORT": "x"}) == [
        "ADDRESS: needed, and not set",
        "KEY: needed, and not set",
        "PORT: Expected `int`, got `str` (got 'x')",
    ]


def test_kinds_of_own_fields() -> None:
    settings = Wanting.from_strings(
        {"ADDRESS": "a", "KEY": "k", "FOLDER": "/srv", "SHARES": "1, 2", "TOKEN": "t", "ID": str(UUID(int=1))}
    )
    assert (settings.folder, settings.shares, settings.id) == (Path("/srv"), (1, 2), UUID(int=1))
    assert type(settings.key) is type(settings.token) is Secret
    assert faults_of(Wanting, {"ADDRESS": "a", "KEY": "k", "SHARES": "1,two", "ID": "x"}) == [
        "ID: Invalid UUID (got 'x')",
        "SHARES: Expected `int`, got `str` - at `$[1]` (got '1,two')",
    ]


def test_an_application_judges_its_settings_together() -> None:
    assert faults_of(Wanting, {"ADDRESS": "example.org", "KEY": "k"}) == ["ADDRESS: not example.org"]


# ---- injected --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def application(serve: Serve, service_environment: Mapping[str, str]) -> Launched:
    """The application of ``notes``, with two settings of its own set."""
    return serve(TARGET, GREETING="Ahoy", MAX_NOTES="7")


def get(application: Launched, path: str, token: str | None = None) -> httpx.Response:
    return application.get(path, headers={} if token is None else {"Authorization": f"Bearer {token}"})


async def test_one_service_for_packets_and_routes(application: Launched, issuer: Issuer) -> None:
    """It takes the principal and the application's settings, whichever way it is asked."""
    for name in ("ada", "grace"):
        token = issuer.token(sub=f"{name}-id", preferred_username=name)
        greeting = {"text": f"Ahoy, {name}", "max_notes": 7}
        async with packet_client(application.port, token) as client:
            assert (await client.ask(NoteID.GREET))["data"] == greeting
        assert get(application, "/notes/greeting", token).json() == greeting
        # Through Litestar's own way, too: a route with parameters beside its dependencies.
        assert get(application, "/notes/session?number=5", token).json() == {name: "5"}


@pytest.mark.parametrize("fast_paths", ["true", "false"])
def test_the_settings_pass_as_the_frameworks(
    serve: Serve, service_environment: Mapping[str, str], fast_paths: str
) -> None:
    """A route and a provider annotate ``starpost.Settings``, and get the application's, which are more."""
    served = serve(TARGET, FAST_PATHS=fast_paths, NODE_NAME="north")
    assert get(served, "/notes/node").json() == {"provided": "north", "taken": "north"}


def test_nobody_is_no_principal(application: Launched, issuer: Issuer) -> None:
    """A public route that asks for the principal wants a token all the same."""
    refused = get(application, "/notes/greeting")
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["code"] == "invalid_token"
    forged = get(application, "/notes/greeting", issuer.token()[:-20])
    assert (forged.status_code, forged.json()["code"]) == (401, "invalid_token")
    assert forged.headers["www-authenticate"].startswith('Bearer error="invalid_token"')


async def test_topics_take_them(application: Launched, issuer: Issuer) -> None:
    for name, status in (("ahoy-ada", 0), ("ada", 3)):
        async with packet_client(application.port, issuer.token(preferred_username=name)) as client:
            assert (await client.ask(-3, {"topic": "quiet"}))["status_code"] == status


def test_tasks_take_them(application: Launched) -> None:
    assert get(application, "/notes/remembered").json() == ["Ahoy KeycloakClient"]


def test_a_start_names_a_wrong_own_value(service_environment: Mapping[str, str], tmp_path: Path) -> None:
    with Launched(tmp_path, TARGET, **{**service_environment, "MAX_NOTES": "none"}) as launched:
        assert launched.ended() != 0
    assert "MAX_NOTES: Expected `int`" in launched.output.read_text()
