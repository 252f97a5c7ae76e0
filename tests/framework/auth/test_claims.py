from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.framework.auth.claims import Claims, ClaimsPolicy, decode_claims
from app.framework.errors import TokenExpiredError, UnauthenticatedError

ISSUER = "https://keycloak.example/realms/starpost"
POLICY = ClaimsPolicy(issuer=ISSUER, client_id="starpost", leeway=2)


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


@given(aud=names | st.lists(names, max_size=3), azp=names)
def test_audience_or_authorized_party(aud: str | list[str], azp: str) -> None:
    refusal = POLICY.refusal(good(aud=aud, azp=azp), 1100)

    named = azp == "starpost" or aud == "starpost" or (isinstance(aud, list) and "starpost" in aud)
    assert (refusal is None) is named


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"iss": "https://evil.example"}, "another issuer"),
        ({"typ": "ID"}, "not an access token"),
        ({"typ": "bearer"}, "not an access token"),
        ({"azp": "other-app"}, "another client"),
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
