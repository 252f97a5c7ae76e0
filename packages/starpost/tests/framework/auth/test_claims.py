from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from starpost.auth.claims import Claims, ClaimsPolicy, decode_claims
from starpost.errors import TokenExpiredError, UnauthenticatedError

ISSUER = "https://keycloak.example/realms/starpost"
POLICY = ClaimsPolicy(issuer=ISSUER, client_id="starpost", leeway=2)
STRICT_POLICY = ClaimsPolicy(issuer=ISSUER, client_id="starpost", leeway=2, is_aud_required=True)


def good(**members: Any) -> Claims:
    usual: dict[str, Any] = {"sub": "u", "exp": 1300, "iat": 1000, "typ": "Bearer", "azp": "starpost"}
    return Claims(**{"iss": ISSUER} | usual | members)


times = st.integers(min_value=900, max_value=1400)


@given(now=times, iat=times, exp=times, nbf=times | st.just(0))
def test_times(now: int, iat: int, exp: int, nbf: int) -> None:
    refusal = POLICY.refusal(good(iat=iat, exp=exp, nbf=nbf), now)

    begun = iat <= now + 2 and nbf <= now + 2
    ended = exp <= now - 2
    assert (refusal is None) is (begun and not ended and iat <= exp)
    if refusal is not None:
        assert isinstance(refusal, TokenExpiredError) is (begun and ended and iat <= exp)


names = st.sampled_from(["starpost", "other-app", "account", "", "Starpost"])
audiences = names | st.lists(names, max_size=3)


@given(aud=audiences, azp=names)
def test_for_whom_a_token_is(aud: str | list[str], azp: str) -> None:
    named = {aud} if isinstance(aud, str) else set(aud)
    claims = good(aud=aud, azp=azp)

    assert (POLICY.refusal(claims, 1100) is None) is (
        "starpost" in named or (azp == "starpost" and named in (set(), {"account"}))
    )
    assert (STRICT_POLICY.refusal(claims, 1100) is None) is ("starpost" in named)


@pytest.mark.parametrize(
    "bound",
    [
        b'{"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}',
        b'{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}',
        b"{}",
        b"null",
    ],
)
def test_a_token_that_is_bound_to_a_key_is_refused(bound: bytes) -> None:
    """By a certificate (RFC 8705), by DPoP (RFC 9449), or by what we do not know."""
    payload = msgspec.json.encode(good())[:-1] + b',"cnf":' + bound + b"}"
    refusal = POLICY.refusal(decode_claims(payload), 1100)

    assert refusal is not None
    assert "bound to a key" in refusal.msg


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"iss": "https://evil.example"}, "another issuer"),
        ({"typ": "ID"}, "not an access token"),
        ({"typ": "bearer"}, "not an access token"),
        ({"azp": "other-app"}, "another client"),
        ({"aud": ["other-api", "account"]}, "another client"),
        ({"iat": 1200}, "not valid yet"),
        ({"nbf": 1200}, "not valid yet"),
        ({"exp": 999}, "expires before"),
    ],
)
def test_every_refusal_says_its_reason(members: dict[str, Any], reason: str) -> None:
    refusal = POLICY.refusal(good(**members), 1100)

    assert refusal is not None
    assert reason in refusal.msg


def test_a_wrong_issuer_is_not_called_expired() -> None:
    refusal = POLICY.refusal(good(iss="https://evil.example", exp=1001), 5000)

    assert refusal is not None
    assert not isinstance(refusal, TokenExpiredError)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b'{"iss":"x"}',
        b'{"sub":"\xff","iss":"","exp":1,"iat":1,"typ":""}',
        b'{"sub":"\\ud800","iss":"","exp":1,"iat":1,"typ":""}',
        b'{"sub":"u","iss":"","exp":1e999,"iat":1,"typ":""}',
        b'{"sub":"u","iss":"","exp":NaN,"iat":1,"typ":""}',
        b'{"sub":"u","iss":"","exp":1e300,"iat":1,"typ":""}',
        b'{"sub":"u","iss":"","exp":1,"iat":1,"typ":"","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_is_not_well_formed_is_refused(payload: bytes) -> None:
    with pytest.raises(UnauthenticatedError, match="malformed"):
        decode_claims(payload)
