"""What a handshake may ask for, as bytes: versions and extensions that others have had trouble with."""

from http.client import HTTPResponse

import pytest

from starpost.testing.issuer import Issuer
from starpost.testing.launched import Launched
from tests.framework import raw_http

UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket"}
GOOD = UPGRADE | {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"}


def shake(server: Launched, headers: dict[str, str]) -> HTTPResponse:
    lines = [f"{name}: {value}" for name, value in {"Host": f"127.0.0.1:{server.port}", **headers}.items()]
    return raw_http.send(server.port, "GET /web HTTP/1.1", *lines)


def test_no_compression(probe: Launched, issuer: Issuer) -> None:
    """Beside secrets it tells by its length what they are (CRIME, BREACH), and a small frame may become a large one."""
    offer = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
    answer = shake(probe, GOOD | offer | {"Authorization": f"Bearer {issuer.token()}"})
    assert answer.status == 101
    assert answer.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert answer.headers["sec-websocket-extensions"] is None


@pytest.mark.parametrize(
    "headers",
    [
        GOOD | {"Sec-WebSocket-Version": "8"},
        UPGRADE | {"Sec-WebSocket-Key": GOOD["Sec-WebSocket-Key"]},
        UPGRADE | {"Sec-WebSocket-Version": "13"},
        UPGRADE | {"Sec-WebSocket-Key1": "4 @1  46546xW%0l 1 5", "Sec-WebSocket-Key2": "12998 5 Y3 1  .P00"},
        {"Sec-WebSocket-Key": GOOD["Sec-WebSocket-Key"], "Sec-WebSocket-Version": "13"},
    ],
    ids=["hybi-08", "no version", "no key", "hixie-76", "no upgrade"],
)
def test_other_versions(probe: Launched, issuer: Issuer, headers: dict[str, str]) -> None:
    """RFC 6455 alone. A good token makes no difference."""
    answer = shake(probe, headers | {"Authorization": f"Bearer {issuer.token()}"})
    assert 400 <= answer.status < 500
