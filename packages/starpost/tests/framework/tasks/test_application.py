"""Background tasks in real workers: all of them, one of them, and one that is killed."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from prometheus_client.parser import text_string_to_metric_families

from starpost.testing import serving
from starpost.testing.issuer import Issuer
from starpost.testing.launched import Launched, is_running, until
from starpost_dev.services import Services


class Journal:
    """What the tasks have written down."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch()

    def of(self, kind: str) -> list[list[str]]:
        lines = [line.split() for line in self._path.read_text().splitlines()]
        return [line[1:] for line in lines if line[0] == kind]


@contextmanager
def ticking(services: Services, issuer: Issuer, folder: Path, **environ: str) -> Iterator[tuple[Launched, Journal]]:
    journal = Journal(folder / "journal")
    settings = {
        "KEYCLOAK_BASE_URL": issuer.base_url,
        "REDIS_PREFIX": uuid4().hex,
        "DRAIN_SPREAD": "0",
        "TICKER_JOURNAL": str(folder / "journal"),
    }
    with serving(
        services.environment(), folder / "log", "tests.framework.tasks.ticker:create", **settings | environ
    ) as server:
        yield server, journal


def samples(server: Launched, name: str) -> dict[str, float]:
    """A metric by task, all workers together."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(server.get("/metrics").text):
        for sample in family.samples:
            if sample.name == name:
                found[sample.labels["task"]] = found.get(sample.labels["task"], 0) + sample.value
    return found


def test_every_worker_runs_its_tasks_and_one_runs_that_of_the_cluster(
    services: Services, issuer: Issuer, tmp_path: Path
) -> None:
    with ticking(services, issuer, tmp_path, WORKERS="2") as (server, journal):
        until(lambda: len(journal.of("every")) == 2 and journal.of("one"), "the tasks")
        assert {kind for _, kind in journal.of("every")} == {"Publisher"}

        def running() -> dict[str, float] | None:
            """In both workers; one that does not answer the other within a second is left out."""
            found = samples(server, "background_tasks_running")
            return found if found["ticker.in_every_worker"] == 2 else None

        assert until(running, "the numbers of both workers")["ticker.in_one_worker"] == 1
        until(lambda: samples(server, "background_task_failures_total").get("ticker.failing", 0) >= 2, "failures")
        assert server.lines("task_failed")[0]["task"] == "ticker.failing"
        until(lambda: server.get("/health/ready").status_code == 200, "ready all the same")

        holder, fence = journal.of("one")[0]
        os.kill(int(holder), signal.SIGKILL)
        until(lambda: len(journal.of("one")) == 2, "a follower")
        assert not is_running(int(holder))
        follower, later = journal.of("one")[1]
        assert follower != holder
        assert int(later) > int(fence)

        server.process.terminate()
        assert server.ended() == 0
        # The other worker may have had the lease for the moment until it ended, too.
        assert journal.of("ended")[0] == [follower]


def test_a_vital_task_that_fails_makes_the_node_unready(services: Services, issuer: Issuer, tmp_path: Path) -> None:
    with ticking(services, issuer, tmp_path, TICKER_VITAL="true") as (server, _):
        answer = until(lambda: (a := server.get("/health/ready")).status_code == 503 and a, "unready")
        assert [error["path"] for error in answer.json()["errors"]] == ["$.tasks"]
