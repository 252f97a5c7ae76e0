"""Counting, and the text that Prometheus reads."""

import asyncio
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from starpost.observability.metrics import Metrics, exposition
from starpost.observability.peers import MetricsPeers


def samples(text: bytes, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if sample.name == name
    }


def labelled(**labels: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


def test_packets_are_counted_by_number_and_status_and_timed_by_number() -> None:
    metrics = Metrics()
    metrics.packets.add((1, 0), 0.0004)
    metrics.packets.add((1, 0), 0.02)
    metrics.packets.add((1, 2), 100.0)
    text = exposition({0: metrics.snapshot()})
    assert samples(text, "ws_packets_total") == {
        labelled(pkg_id="1", status="0", worker="0"): 2,
        labelled(pkg_id="1", status="2", worker="0"): 1,
    }
    buckets = samples(text, "ws_packets_duration_seconds_bucket")
    assert buckets[labelled(pkg_id="1", le="0.0005", worker="0")] == 1
    assert buckets[labelled(pkg_id="1", le="0.025", worker="0")] == 2
    assert buckets[labelled(pkg_id="1", le="10.0", worker="0")] == 2
    assert buckets[labelled(pkg_id="1", le="+Inf", worker="0")] == 3
    assert samples(text, "ws_packets_duration_seconds_count") == {labelled(pkg_id="1", worker="0"): 3}
    assert samples(text, "ws_packets_duration_seconds_sum") == {labelled(pkg_id="1", worker="0"): 100.0204}


def test_the_other_counters() -> None:
    metrics = Metrics()
    metrics.request("GET", "/authors/{author_id}", 200, 0.001)
    metrics.connections_opened.inc()
    metrics.bad_frames.inc()
    metrics.connection_closed(4401)
    metrics.connection_closed(3999)
    metrics.connection_closed(3998)
    metrics.outbox_overflow("close")
    metrics.jwks_fetch(succeeded=False)
    text = exposition({0: metrics.snapshot()})
    path = labelled(method="GET", path="/authors/{author_id}", status="200", worker="0")
    assert samples(text, "http_requests_total") == {path: 1}
    assert samples(text, "ws_connections_opened_total") == {labelled(worker="0"): 1}
    assert samples(text, "ws_bad_frames_total") == {labelled(worker="0"): 1}
    assert samples(text, "ws_connections_closed_total") == {
        labelled(code="4401", worker="0"): 1,
        labelled(code="other", worker="0"): 2,
    }
    assert samples(text, "ws_outbox_overflows_total") == {labelled(policy="close", worker="0"): 1}
    assert samples(text, "jwks_fetches_total") == {labelled(result="failed", worker="0"): 1}


def test_gauges_are_read_when_asked_for() -> None:
    metrics = Metrics()
    readings: list[Any] = []
    metrics.watch("ws_connections", "Open sockets", lambda: len(readings))
    metrics.watch("db_pool", "Connections", lambda: {"idle": 2, "busy": 1}, label="state")
    readings.append("one more")
    text = exposition({0: metrics.snapshot()})
    assert samples(text, "ws_connections") == {labelled(worker="0"): 1}
    assert samples(text, "db_pool") == {
        labelled(state="idle", worker="0"): 2,
        labelled(state="busy", worker="0"): 1,
    }


async def test_each_worker_answers_for_all(tmp_path: Path) -> None:
    workers = [MetricsPeers(Metrics(), tmp_path) for _ in range(3)]
    for number, worker in enumerate(workers):
        await worker.open()
        worker._metrics.packets.add((1, 0), 0.001 * number)
    for worker in workers:
        text = exposition(await worker.snapshots())
        assert samples(text, "ws_packets_total") == {
            labelled(pkg_id="1", status="0", worker=str(number)): 1 for number in range(3)
        }
    await workers[1].close()
    assert set(await workers[0].snapshots()) == {0, 2}
    # A new worker takes the number that is free, and not that of a living one.
    successor = MetricsPeers(Metrics(), tmp_path)
    await successor.open()
    assert set(await successor.snapshots()) == {0, 1, 2}
    for worker in (workers[0], workers[2], successor):
        await worker.close()


async def test_a_worker_that_hangs_or_died_is_left_out(tmp_path: Path) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_unix_server(say_nothing, tmp_path / "7.sock")
    (tmp_path / "8.sock").touch()
    worker = MetricsPeers(Metrics(), tmp_path)
    await worker.open()
    assert set(await worker.snapshots()) == {0}
    await worker.close()
    silent.close()


async def test_alone_without_a_launcher() -> None:
    worker = MetricsPeers(Metrics(), None)
    await worker.open()
    assert set(await worker.snapshots()) == {0}
    await worker.close()
