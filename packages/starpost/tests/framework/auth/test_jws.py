import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st

from starpost.auth.jws import parse_jws
from starpost.errors import UnauthenticatedError
from starpost.testing.issuer import EC_KEY, OTHER_RSA_KEY, RSA_KEY, claims, known_keys

ISSUER = "https://keycloak.example/realms/starpost"
KEYS = known_keys(RSA_KEY, EC_KEY)
GOOD = RSA_KEY.sign(claims(ISSUER))


def segment(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def is_accepted(token: str) -> bool:
    try:
        parsed = parse_jws(token.encode())
    except UnauthenticatedError:
        return False
    key = KEYS.get(parsed.header.kid)
    return key is not None and parsed.is_signed_with(key)


def is_accepted_by_pyjwt(token: str) -> bool:
    try:
        header = jwt.get_unverified_header(token)
        jwt.PyJWS().decode(token, KEYS[header["kid"]])
    except (jwt.PyJWTError, KeyError, ValueError):
        return False
    return True


def test_a_token_is_parsed_into_header_payload_and_signature() -> None:
    token = parse_jws(GOOD.encode())

    assert (token.header.alg, token.header.kid, token.header.media_type) == ("RS256", "rsa-1", "jwt")
    assert json.loads(token.payload)["iss"] == ISSUER
    assert token.is_signed_with(KEYS["rsa-1"])


def test_another_key_has_not_signed_it() -> None:
    token = parse_jws(GOOD.encode())

    assert not token.is_signed_with(known_keys(OTHER_RSA_KEY)[OTHER_RSA_KEY.kid])
    assert not token.is_signed_with(KEYS["ec-1"])


@pytest.mark.parametrize("part", range(3))
@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda text: text + "=", id="padding"),
        pytest.param(lambda text: text + "==", id="more padding"),
        pytest.param(lambda text: text + "\n", id="line feed"),
        pytest.param(lambda text: " " + text, id="blank"),
        pytest.param(lambda text: text[:8] + "+" + text[9:], id="plus"),
        pytest.param(lambda text: text[:8] + "/" + text[9:], id="slash"),
        pytest.param(lambda text: text[:8] + "!" + text[9:], id="exclamation mark"),
        pytest.param(lambda text: text[:8] + "\x00" + text[9:], id="null"),
        pytest.param(lambda text: text[:8] + "é" + text[9:], id="not ASCII"),
        pytest.param(lambda text: text[: len(text) // 4 * 4 + 1].ljust(len(text) // 4 * 4 + 1, "A"), id="length"),
        pytest.param(lambda text: text + ".", id="one part more"),
        pytest.param(lambda _: "", id="empty"),
    ],
)
def test_what_is_not_base64url_is_refused(part: int, spoil: Any) -> None:
    parts = GOOD.split(".")
    parts[part] = spoil(parts[part])

    assert not is_accepted(".".join(parts))


@pytest.mark.parametrize("part", range(3))
def test_a_token_has_one_spelling(part: int) -> None:
    """The last character of a part may hold bits that no byte of it uses; a decoder that ignores them takes both."""
    parts = EC_KEY.sign(claims(ISSUER)).split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    original = parts[part]
    spellings = [original[:-1] + last for last in alphabet]
    same = [s for s in spellings if base64.urlsafe_b64decode(s + "==") == base64.urlsafe_b64decode(original + "==")]

    assert [s for s in same if is_accepted(".".join([*parts[:part], s, *parts[part + 1 :]]))] == [original]


@pytest.mark.parametrize("member", [{"b64": False}, {"b64": True}, {"crit": ["b64"], "b64": False}, {"crit": None}])
def test_no_extension_is_supported(member: dict[str, Any]) -> None:
    header = segment({"alg": "RS256", "kid": "rsa-1"} | member)
    payload = segment(claims(ISSUER))
    signature = segment(jwt.get_algorithm_by_name("RS256").sign(f"{header}.{payload}".encode(), RSA_KEY.private))

    with pytest.raises(UnauthenticatedError, match="extension"):
        parse_jws(f"{header}.{payload}.{signature}".encode())


def test_an_unencoded_payload_is_refused() -> None:
    """RFC 7797: the payload stands as it is, where a parser that follows ``b64`` would look for it."""
    header = segment({"alg": "RS256", "kid": "rsa-1", "crit": ["b64"], "b64": False})
    signature = segment(jwt.get_algorithm_by_name("RS256").sign(f"{header}.x".encode(), RSA_KEY.private))

    assert not is_accepted(f"{header}..{signature}")


def test_an_elliptic_signature_is_two_numbers_and_not_der() -> None:
    header, payload, signature = EC_KEY.sign(claims(ISSUER)).split(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))

    assert is_accepted(f"{header}.{payload}.{signature}")
    assert not is_accepted(f"{header}.{payload}.{segment(der)}")
    assert not is_accepted(f"{header}.{payload}.{segment(raw + bytes(2))}")
    assert not is_accepted(f"{header}.{payload}.{segment(bytes(64))}")


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(b"[]", id="list"),
        pytest.param(b"null", id="null"),
        pytest.param(b'{"alg":"RS256"}', id="no key"),
        pytest.param(b'{"kid":"rsa-1"}', id="no algorithm"),
        pytest.param(b'{"alg":["RS256"],"kid":"rsa-1"}', id="list of algorithms"),
        pytest.param(b'{"alg":"rs256","kid":"rsa-1"}', id="case"),
        pytest.param(b'{"alg":"RS256","kid":"rsa-1"', id="not closed"),
        pytest.param(b'{"alg":"RS256","kid":"rsa-1"}{}', id="two objects"),
        pytest.param(b'{"alg":"RS256","kid":"\xff"}', id="not UTF-8"),
        pytest.param(b'{"alg":"RS256","kid":"rsa-1","x":' + b"[" * 9000, id="nested"),
    ],
)
def test_a_header_that_is_malformed_is_refused(header: bytes) -> None:
    payload = segment(claims(ISSUER))
    signing_input = f"{segment(header)}.{payload}"
    signature = segment(jwt.get_algorithm_by_name("RS256").sign(signing_input.encode(), RSA_KEY.private))

    assert not is_accepted(f"{signing_input}.{signature}")


@given(position=st.integers(0, len(GOOD) - 1), character=st.characters())
@settings(max_examples=500)
def test_a_changed_character_is_refused(position: int, character: str) -> None:
    changed = GOOD[:position] + character + GOOD[position + 1 :]

    assert is_accepted(changed.encode("utf-8", "surrogatepass").decode("utf-8", "replace")) == (changed == GOOD)


@given(text=st.text(st.sampled_from(GOOD[:40] + ".=-_+/ \n"), max_size=60), token=st.sampled_from([GOOD, ""]))
@settings(max_examples=300)
def test_what_the_library_refuses_is_refused(text: str, token: str) -> None:
    for tried in (text + token, token + text, token[:50] + text + token[50:]):
        assert not is_accepted(tried) or is_accepted_by_pyjwt(tried)
