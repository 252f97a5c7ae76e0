"""Logout tokens, good and hostile."""

import time
from typing import Any
from uuid import uuid4

import pytest

from starpost.auth.logout_token import EVENT, LIFETIME, InvalidLogoutTokenError, Logout, LogoutTokenVerifier
from starpost.auth.verifier import MAX_TOKEN_BYTES
from starpost.testing.issuer import EC_KEY, OTHER_RSA_KEY, RSA_KEY, SigningKey, claims
from tests.framework.auth.test_verifier import ISSUER, offline_verifier, segment

NOW = int(time.time())


def logout_claims(**members: Any) -> dict[str, Any]:
    """The claims of a logout token of Keycloak; ``None`` removes one."""
    usual = {
        "iat": NOW,
        "exp": NOW + 120,
        "jti": str(uuid4()),
        "iss": ISSUER,
        "aud": "starpost",
        "sub": "alice-id",
        "sid": "s1",
        "typ": "Logout",
        "events": {EVENT: {}},
    }
    return {name: value for name, value in (usual | members).items() if value is not None}


def logout_token(key: SigningKey = RSA_KEY, **members: Any) -> str:
    return key.sign(logout_claims(**members))


async def tokens(now: float = NOW) -> LogoutTokenVerifier:
    return LogoutTokenVerifier(
        await offline_verifier(), issuer=ISSUER, client_id="starpost", leeway=2, clock=lambda: now
    )


async def refused(token: str, now: float = NOW) -> str:
    with pytest.raises(InvalidLogoutTokenError) as caught:
        await (await tokens(now)).verify(token)
    return caught.value.msg


async def test_a_logout_token() -> None:
    logout = await (await tokens()).verify(logout_token(jti="j"))
    assert logout == Logout(token_id="j", session_id="s1", user_id="alice-id", issued_at=NOW, expires_at=NOW + 120)
    assert logout.remaining(NOW, 2) == 122
    assert logout.remaining(NOW + 1000, 2) == 1


@pytest.mark.parametrize(
    ("members", "session_id", "user_id"),
    [
        ({"sub": None}, "s1", None),
        ({"sid": None}, None, "alice-id"),
        ({"aud": ["other", "starpost"]}, "s1", "alice-id"),
    ],
)
async def test_a_session_or_a_user(members: dict[str, Any], session_id: str | None, user_id: str | None) -> None:
    logout = await (await tokens()).verify(logout_token(**members))
    assert (logout.session_id, logout.user_id) == (session_id, user_id)


async def test_a_token_without_an_expiry_lives_two_minutes() -> None:
    token = logout_token(exp=None)
    assert (await (await tokens(NOW + LIFETIME)).verify(token)).expires_at == NOW + LIFETIME
    assert "expired" in await refused(token, NOW + LIFETIME + 2)


@pytest.mark.parametrize("typ", ["JWT", "logout+jwt", "application/logout+jwt", "LOGOUT+JWT", None])
async def test_types_that_are_good(typ: str | None) -> None:
    await (await tokens()).verify(RSA_KEY.sign(logout_claims(), typ=typ))


@pytest.mark.parametrize("key", [EC_KEY, RSA_KEY])
async def test_every_key_of_the_realm_is_good(key: SigningKey) -> None:
    await (await tokens()).verify(logout_token(key))


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"iss": "https://keycloak.example/realms/other"}, "issuer"),
        ({"aud": "other"}, "client"),
        ({"aud": []}, "client"),
        ({"typ": "Bearer"}, "not a logout token"),
        ({"events": {}}, "no back-channel logout"),
        ({"events": {"http://schemas.openid.net/event/other": {}}}, "no back-channel logout"),
        ({"nonce": "n"}, "nonce"),
        ({"nonce": 0}, "nonce"),
        ({"sub": None, "sid": None}, "neither"),
        ({"iat": NOW + 60}, "not valid yet"),
        ({"nbf": NOW + 60}, "not valid yet"),
        ({"exp": NOW - 60, "iat": NOW - 120}, "expired"),
        ({"exp": NOW + 86_400}, "too long"),
    ],
)
async def test_claims_that_are_refused(members: dict[str, Any], reason: str) -> None:
    assert reason in await refused(logout_token(**members))


@pytest.mark.parametrize(
    "members",
    [
        {"jti": None},
        {"jti": ""},
        {"iat": None},
        {"iat": str(NOW)},
        {"exp": "soon"},
        {"events": None},
        {"events": [EVENT]},
        {"events": {EVENT: None}},
        {"events": EVENT},
        {"sid": 7},
        {"sub": ""},
        {"sid": "x" * 513},
    ],
)
async def test_claims_of_a_wrong_shape(members: dict[str, Any]) -> None:
    changed = {name: value for name, value in members.items() if value is not None}
    removed = {name for name, value in members.items() if value is None}
    content = {name: value for name, value in (logout_claims() | changed).items() if name not in removed}
    assert "claims are malformed" in await refused(RSA_KEY.sign(content))


async def test_a_nonce_of_null_is_a_nonce() -> None:
    assert "nonce" in await refused(RSA_KEY.sign(logout_claims() | {"nonce": None}))


async def test_other_tokens_of_the_realm_are_no_logout_tokens() -> None:
    assert "claims are malformed" in await refused(RSA_KEY.sign(claims(ISSUER)))
    assert "another type" in await refused(RSA_KEY.sign(logout_claims(), typ="at+jwt"))


async def test_a_logout_token_is_no_access_token() -> None:
    with pytest.raises(Exception, match="not an access token"):
        await (await offline_verifier()).verify(RSA_KEY.sign(claims(ISSUER) | logout_claims()))


@pytest.mark.parametrize(
    "token",
    [
        "",
        "nonsense",
        "a.b.c",
        logout_token(SigningKey(kid=RSA_KEY.kid)),
        f"{segment({'alg': 'none', 'kid': RSA_KEY.kid})}.{segment(logout_claims())}.",
        f"{segment({'alg': 'HS256', 'kid': RSA_KEY.kid})}.{segment(logout_claims())}.{segment('x')}",
        RSA_KEY.sign(logout_claims(), crit=["exp"]),
        RSA_KEY.sign(logout_claims(), kid=None),
        logout_token()[:-4] + "AAAA",
    ],
    ids=["empty", "nonsense", "dots", "forged", "none", "symmetric", "crit", "no kid", "changed"],
)
async def test_signatures_that_are_refused(token: str) -> None:
    assert "signature is not valid" in await refused(token)


async def test_a_token_that_is_too_long() -> None:
    assert "too long" in await refused("x" * (MAX_TOKEN_BYTES + 1))


async def test_an_unknown_key_is_not_fetched_for_what_would_be_refused_anyhow() -> None:
    """The key set of this verifier fails the test when it is asked for another key."""
    assert "client" in await refused(logout_token(OTHER_RSA_KEY, aud="other"))
