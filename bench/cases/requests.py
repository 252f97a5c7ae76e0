"""Cases that ask over HTTP."""

from typing import Final

from bench.cases.packets import CONNECTIONS, PER_PAGE, sample, throughput
from bench.cases.subjects import APPLICATION, OPEN_LITESTAR
from bench.loads import http, wrk
from bench.measurement import Case, Goal, Sample, Side
from bench.site import Site

GUARDED_PATH: Final = "/bench/small"
PAGE_PATH: Final = f"/authors?page=3&per_page={PER_PAGE}"
HTTP_LOAD, _saturate = ("own client", http.saturate) if wrk.PROGRAM is None else ("wrk", wrk.saturate)
"""Name of the HTTP client, for the record, and its function."""


def _case(name: str, title: str, path: str, goal: Goal) -> Case:
    async def measure(site: Site, side: Side, seconds: float) -> Sample:
        return sample(await _saturate(side.server, path, site.token, connections=CONNECTIONS, seconds=seconds))

    return Case(
        name=name,
        title=title,
        ours=APPLICATION,
        theirs=OPEN_LITESTAR,
        metrics=throughput("request", goal),
        measure=measure,
    )


REQUESTS: Final = (
    _case("http-guarded", "HTTP, guarded, no database", GUARDED_PATH, Goal(0.6)),
    _case("http-page", "HTTP, page of 20 with total", PAGE_PATH, Goal(0.9)),
)
