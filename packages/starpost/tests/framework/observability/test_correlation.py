"""Ids of requests and packets."""

import asyncio
import re

import pytest

from starpost.observability import correlation
from starpost.observability.correlation import Correlation, PacketCorrelation
from starpost.protocol.envelope import NIL

MADE = re.compile(r"[0-9a-f]{32}")
TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_an_id_of_the_client_is_taken_over() -> None:
    assert Correlation.from_headers("order-17", f"00-{TRACE}-b7ad6b7169203331-01").id == "order-17"
    assert Correlation.from_headers(None, f"00-{TRACE}-b7ad6b7169203331-01").id == TRACE


@pytest.mark.parametrize("bad", ["", " a", "a b", "a\nb", "ä", "x" * 65, "-a", "a;b", '"'])
def test_a_malformed_id_is_replaced(bad: str) -> None:
    assert MADE.fullmatch(Correlation.from_headers(bad, None).id)


@pytest.mark.parametrize(
    "bad", [f"00-{'0' * 32}-b7ad6b7169203331-01", f"00-{TRACE}-{'0' * 16}-01", f"01-{TRACE}-b7ad6b7169203331-01", TRACE]
)
def test_a_malformed_trace_is_replaced(bad: str) -> None:
    assert Correlation.from_headers(None, bad).id != TRACE


def test_the_id_stays_and_is_the_incident() -> None:
    current = PacketCorrelation("c1", "alice", 2, NIL)
    token = correlation.enter(current)
    assert correlation.incident() == correlation.incident() == current.id
    assert current.fields() == {
        "correlation_id": current.id,
        "connection": "c1",
        "user": "alice",
        "pkg_id": 2,
        "req_id": str(NIL),
    }
    correlation.leave(token)
    assert correlation.current() is None
    assert correlation.incident() != current.id


async def test_tasks_do_not_see_each_other() -> None:
    async def work(name: str) -> str:
        correlation.enter(Correlation(known_id=name))
        await asyncio.sleep(0)
        return correlation.incident()

    assert list(await asyncio.gather(work("a"), work("b"))) == ["a", "b"]
