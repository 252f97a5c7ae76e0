"""Metrics of one worker, and their text for Prometheus.

Each worker counts for itself, under a label with its number. A worker that is scraped also answers for the other
workers of its launcher (``peers``, ADR 0008).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Final, Literal

import msgspec
from prometheus_client import CollectorRegistry, Counter, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from starpost.observability.timings import Timings
from starpost.protocol.close_codes import CloseCode

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Reading = float | Mapping[str, float]


class _Family(msgspec.Struct, array_like=True, frozen=True):
    """Metric of a snapshot; ``samples`` are name, labels and value."""

    name: str
    documentation: str
    type: str
    samples: list[tuple[str, dict[str, str], float]]


class Metrics:
    """Counters of one worker. Each application has its own; nothing is global.

    Rare events are counters of prometheus_client: call ``inc()``. Packets and requests are ``Timings``. Numbers that
    another object holds are gauges, read when somebody asks (``watch``).
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.packets = Timings("ws_packets", "Packets answered", ("pkg_id", "status"), aggregated=1)
        self._requests = Timings("http_requests", "HTTP requests answered", ("method", "path", "status"), aggregated=2)
        self._registry.register(self.packets)
        self._registry.register(self._requests)
        self.connections_opened = self._counter("ws_connections_opened", "Sockets accepted")
        self._closed = self._counter("ws_connections_closed", "Sockets closed, by close code", "code")
        self.bad_frames = self._counter("ws_bad_frames", "Frames that could not be decoded, or came before AUTH")
        self._overflows = self._counter("ws_outbox_overflows", "Frames that found a full outbox", "policy")
        self._rate_limited = self._counter("rate_limited", "Refusals by a rate", "limit")
        self.shared_limit_failures = self._counter(
            "shared_limit_failures", "Reports to the shared rate that failed: users have their local share"
        )
        self._security_events = self._counter("security_events", "Events of the security log", "event")
        self._jwks = self._counter("jwks_fetches", "Fetches of the realm's keys", "result")
        self._task_failures = self._counter("background_task_failures", "Failed runs of background tasks", "task")
        # To find a child by its labels takes as long as to count: what every handshake counts is found once.
        self._closed_with = cache(self._closed.labels)
        self._security_event = cache(self._security_events.labels)

    def request(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count an answered HTTP request. ``path`` is the route's template, which bounds the set of labels."""
        self._requests.add((method, path, status), seconds)

    def connection_closed(self, code: int) -> None:
        """Count a socket that either side has closed."""
        # A client may send any of 4,000 codes; each would be a time series for ever.
        self._closed_with(str(code) if code in _KNOWN_CODES else "other").inc()

    def outbox_overflow(self, policy: str) -> None:
        """Count a frame that did not fit into an outbox."""
        self._overflows.labels(policy).inc()

    def rate_limited(self, limit: Literal["packet", "user", "address"]) -> None:
        """Count a packet, or a request of a user or of an address, that a rate limit refused."""
        self._rate_limited.labels(limit).inc()

    def security_event(self, event: str) -> None:
        """Count an event of the security log, written or left out."""
        self._security_event(event).inc()

    def jwks_fetch(self, *, succeeded: bool) -> None:
        """Count a fetch of the realm's keys."""
        self._jwks.labels("ok" if succeeded else "failed").inc()

    def task_failed(self, task: str) -> None:
        """Count a background task that raised."""
        self._task_failures.labels(task).inc()

    def watch(self, name: str, documentation: str, read: Callable[[], Reading], *, label: str = "") -> None:
        """Register a gauge that is read when somebody asks.

        Args:
            name: As Prometheus shows it: ``ws_connections``.
            documentation: One sentence.
            read: Returns the number, or with ``label`` one number for each of its values. Called in the event loop.
            label: Name of the label.
        """
        self._registry.register(_Gauge(name, documentation, read, label))

    def snapshot(self) -> bytes:
        """Return all counts so far, encoded for another worker."""
        return msgspec.msgpack.encode(
            [
                _Family(m.name, m.documentation, m.type, [(s.name, s.labels, float(s.value)) for s in m.samples])
                for m in self._registry.collect()
            ]
        )

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(name, documentation, labels, registry=self._registry)


def exposition(snapshots: Mapping[int, bytes]) -> bytes:
    """Return the text for Prometheus.

    Args:
        snapshots: Snapshots by number of the worker, which becomes the label ``worker``.
    """
    merged: dict[str, Metric] = {}
    for worker, snapshot in snapshots.items():
        for family in msgspec.msgpack.decode(snapshot, type=list[_Family]):
            metric = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for name, labels, value in family.samples:
                # A counter's start is left out: its worker's `process_start_time_seconds` says the same.
                if not name.endswith("_created"):
                    metric.add_sample(name, {**labels, "worker": str(worker)}, value)
    registry = CollectorRegistry()
    registry.register(_Merged(merged.values()))
    return generate_latest(registry)


class _Gauge(Collector):
    def __init__(self, name: str, documentation: str, read: Callable[[], Reading], label: str) -> None:
        self._name, self._documentation, self._read, self._label = name, documentation, read, label

    def describe(self) -> Iterator[Metric]:
        """Yield the name alone: registering must not read the gauge."""
        yield GaugeMetricFamily(self._name, self._documentation)

    def collect(self) -> Iterator[Metric]:
        reading = self._read()
        family = GaugeMetricFamily(self._name, self._documentation, labels=[self._label] if self._label else [])
        if isinstance(reading, Mapping):
            for value, number in reading.items():
                family.add_metric([value], number)
        else:
            family.add_metric([], reading)
        yield family


class _Merged(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


# The last two are never sent: no code, and no close frame (RFC 6455, section 7.4.1).
_KNOWN_CODES: Final = frozenset({*CloseCode, 1005, 1006})
