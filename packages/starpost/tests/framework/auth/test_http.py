"""The middleware alone; with a guard and routes it is tested in ``rbac/test_guard.py``."""

from typing import Any

import pytest

from starpost.auth import Authenticator, Principal, RealmVerifier
from starpost.auth.http import AuthenticationMiddleware, compile_excluded
from starpost.errors import AppError, UnauthenticatedError, UnavailableError
from starpost.testing.issuer import Issuer
from tests.framework.limits.unlimited import no_limits


async def through(issuer: Issuer, *scopes: dict[str, Any], excluded: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """The scopes as the next application sees them, one after the other through one middleware."""
    seen: list[dict[str, Any]] = []

    async def application(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(dict(scope))

    async def unused(*_: Any) -> Any:
        raise AssertionError("the middleware neither reads nor answers")

    verifier = RealmVerifier(issuer.settings())
    middleware = AuthenticationMiddleware(application, Authenticator(verifier), no_limits(), compile_excluded(excluded))
    for scope in scopes:
        await middleware(scope, unused, unused)  # type: ignore[arg-type]
    await verifier.close()
    assert len(seen) == len(scopes)
    return seen


def request(*authorization: str, path: str = "/x") -> dict[str, Any]:
    return {"type": "http", "path": path, "headers": [(b"authorization", value.encode()) for value in authorization]}


async def test_a_good_token(issuer: Issuer) -> None:
    (scope,) = await through(issuer, request(f"Bearer {issuer.token()}"))

    assert isinstance(scope["user"], Principal)
    assert scope["user"].username == "alice"
    assert scope["auth"] is None


async def test_a_token_that_is_remembered_and_other_ways_to_write_it(issuer: Issuer) -> None:
    token = issuer.token()
    ways = [f"Bearer {token}", f"Bearer {token}", f"bearer {token}", f"Bearer  {token} "]
    scopes = await through(issuer, *(request(way) for way in ways))

    assert [scope["user"].username for scope in scopes] == ["alice"] * 4
    assert scopes[0]["user"] is scopes[1]["user"] is scopes[2]["user"]


async def test_a_token_that_is_remembered_excuses_nothing_beside_it(issuer: Issuer) -> None:
    good = f"Bearer {issuer.token()}"
    scopes = await through(issuer, request(good), request(good, good), request(good, "Basic x"), request(good + " x"))

    assert [scope["user"] is None for scope in scopes] == [False, True, True, True]
    assert all(isinstance(scope["auth"], UnauthenticatedError) for scope in scopes[1:])


async def test_no_token(issuer: Issuer) -> None:
    (scope,) = await through(issuer, request())

    assert (scope["user"], scope["auth"]) == (None, None)


@pytest.mark.parametrize(
    "authorization", [["Basic x"], ["Bearer x"], ["Bearer"], ["Bearer é"], ["Bearer x", "Bearer x"]]
)
async def test_a_bad_token_goes_on_with_its_reason(issuer: Issuer, authorization: list[str]) -> None:
    (scope,) = await through(issuer, request(*authorization))

    assert scope["user"] is None
    assert isinstance(scope["auth"], UnauthenticatedError)


async def test_a_token_that_cannot_be_judged_goes_on_with_its_reason(issuer: Issuer) -> None:
    token = issuer.token()
    settings_of_a_server_that_is_away = issuer
    issuer.stop()
    (scope,) = await through(settings_of_a_server_that_is_away, request(f"Bearer {token}"))

    assert scope["user"] is None
    assert isinstance(scope["auth"], UnavailableError)
    assert isinstance(scope["auth"], AppError)


async def test_excluded_paths(issuer: Issuer) -> None:
    (scope,) = await through(issuer, request("Bearer x", path="/health/live"), excluded=("^/health/",))
    (other,) = await through(issuer, request("Bearer x", path="/x/health/live"), excluded=("^/health/",))

    assert (scope["user"], scope["auth"]) == (None, None)
    assert isinstance(other["auth"], UnauthenticatedError)


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
async def test_other_scopes_pass_untouched(issuer: Issuer, kind: str) -> None:
    scope = {"type": kind, "path": "/web", "headers": [(b"authorization", b"Basic x")]}

    assert await through(issuer, dict(scope)) == [scope]


def test_patterns_of_excluded_paths() -> None:
    excluded = compile_excluded(["^/health/", "^/schema", "a|b"])

    assert excluded is not None
    paths = ("/health/live", "/schema", "/xa", "/x", "/x/scheme")
    assert [bool(excluded.search(path)) for path in paths] == [True, True, True, False, False]
    assert compile_excluded([]) is None
    with pytest.raises(ValueError, match=r"EXCLUDED_PATHS: '\(' is no regular expression"):
        compile_excluded(["^/x", "("])
