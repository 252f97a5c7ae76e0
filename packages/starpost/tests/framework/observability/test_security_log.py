"""The security log has room for every kind of event and every address, and counts what it leaves out."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from structlog.testing import capture_logs

from starpost.observability import security_log
from starpost.observability.security_log import LINES_PER_ADDRESS, LINES_PER_EVENT, SecurityLog


class Counted:
    """A log, and what it counts."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.log = SecurityLog(lambda event: self.counts.update([event]))


def written(lines: list[Any], event: str) -> list[Any]:
    return [line for line in lines if line["event"] == event]


@pytest.fixture(autouse=True)
def _long_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing depends on how long a test takes: the window ends when ``flush`` is called."""
    monkeypatch.setattr(security_log, "WINDOW", 3600.0)


async def test_a_line_has_all_that_is_known() -> None:
    counted = Counted()
    with capture_logs() as lines:
        counted.log.record(
            "denied", reason="permission_denied", user="alice", address="192.0.2.7", connection="c1", pkg_id=5
        )
    assert lines == [
        {
            "event": "denied",
            "log_level": "warning",
            "reason": "permission_denied",
            "user": "alice",
            "address": "192.0.2.7",
            "connection": "c1",
            "pkg_id": 5,
        }
    ]


async def test_a_flood_from_one_address_hides_no_other_and_no_other_event() -> None:
    counted = Counted()
    with capture_logs() as lines:
        for _ in range(5000):
            counted.log.record("auth_refused", address="192.0.2.66")
        counted.log.record("auth_refused", address="192.0.2.7")
        counted.log.record("revoked", address="192.0.2.66")
    refused = Counter(line["address"] for line in written(lines, "auth_refused"))
    assert refused == {"192.0.2.66": LINES_PER_ADDRESS, "192.0.2.7": 1}
    assert len(written(lines, "revoked")) == 1
    assert counted.counts == {"auth_refused": 5001, "revoked": 1}


async def test_a_flood_from_many_addresses_is_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security_log, "COUNTED_ADDRESSES", 200)
    counted = Counted()
    with capture_logs() as lines:
        for number in range(3000):
            counted.log.record("handshake_refused", address=f"2001:db8::{number:x}")
        for _ in range(70):
            counted.log.record("handshake_refused", address="2001:db8::64")
        counted.log.flush()
    assert len(written(lines, "handshake_refused")) == LINES_PER_EVENT
    (left_out,) = written(lines, "security_events_left_out")
    assert (left_out["of"], left_out["count"]) == ("handshake_refused", 3070 - LINES_PER_EVENT)
    # Those told apart, and one for all others.
    assert left_out["addresses"] == 201
    assert left_out["most"]["(others)"] == 3000 - LINES_PER_EVENT - 200
    assert left_out["most"]["2001:db8::64"] == 71


async def test_what_is_left_out_is_told_when_the_window_ends_though_nothing_more_happens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(security_log, "WINDOW", 0.05)
    counted = Counted()
    with capture_logs() as lines:
        async with asyncio.timeout(100):
            while not written(lines, "security_events_left_out"):
                for _ in range(LINES_PER_ADDRESS + 1):
                    counted.log.record("denied", address="192.0.2.7")
                await asyncio.sleep(0.1)
    assert (
        len(written(lines, "denied")) + sum(line["count"] for line in written(lines, "security_events_left_out"))
        == counted.counts["denied"]
    )


async def test_a_new_window_has_room_again(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted()
    with capture_logs() as lines:
        for _ in range(LINES_PER_ADDRESS + 1):
            counted.log.record("denied", address="192.0.2.7")
        counted.log._window_ends = 0.0
        counted.log.record("denied", address="192.0.2.7")
    assert len(written(lines, "denied")) == LINES_PER_ADDRESS + 1
    assert [line["count"] for line in written(lines, "security_events_left_out")] == [1]
