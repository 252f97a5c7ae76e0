"""The table of close codes, as the wire contract has it."""

import re
from pathlib import Path

import pytest

from starpost.protocol import CloseCode, Verdict

PAGE = Path("docs/protocol.md")
CONTRACT = {
    int(code): "reconnect" in advice
    for code, advice in re.findall(r"^\| (\d{4}) \|.*\| ([^|]*) \|$", PAGE.read_text(), re.MULTILINE)
}
"""Code, and whether a client may come back, out of the page that client writers read."""


def test_the_page_has_the_table() -> None:
    assert len(CONTRACT) == 13
    assert (CONTRACT[1012], CONTRACT[4401], CONTRACT[4403]) == (True, True, False)


def test_no_code_is_missing_or_invented() -> None:
    assert set(map(int, CloseCode)) == set(CONTRACT)


@pytest.mark.parametrize(("code", "should_reconnect"), CONTRACT.items())
def test_the_number_is_the_verdict(code: int, should_reconnect: bool) -> None:
    assert Verdict(CloseCode(code), "reason").should_reconnect is should_reconnect


@pytest.mark.parametrize("code", CONTRACT)
def test_a_server_or_client_in_trouble_is_given_time(code: int) -> None:
    """Many are closed at once when Redis hangs: they must not come back at once, nor all together."""
    delays = {Verdict(CloseCode(code), "reason").after_ms for _ in range(100)}
    if code in {1011, 1013, 4408, 4429}:
        assert min(delays) >= 1000
        assert len(delays) > 10
        assert Verdict(CloseCode(code), "reason", 60_000).after_ms == 60_000
    else:
        assert delays == {0}
        assert Verdict(CloseCode(code), "reason", 300).after_ms == 300


@pytest.mark.parametrize("code", CONTRACT)
def test_codes_may_be_sent(code: int) -> None:
    """RFC 6455, section 7.4: 1004 to 1006 and 1015 never go over the wire; applications have 4000 to 4999."""
    assert code in {1000, 1001, 1002, 1007, 1009, 1011, 1012, 1013} or 4000 <= code <= 4999
