"""Logs, correlation, metrics and health of one worker.

Count in ``Metrics``; ``exposition`` merges the snapshots of all workers into the text for Prometheus:

    >>> from starpost.observability.metrics import Metrics, exposition
    >>> metrics = Metrics()
    >>> metrics.connections_opened.inc()
    >>> b'ws_connections_opened_total{worker="0"} 1.0' in exposition({0: metrics.snapshot()})
    True

Write lines with ``structlog``. The pipeline that ``configure_logs`` installs adds the current request or packet, and
masks secrets in every line, those of libraries included:

    >>> from starpost.observability.masking import mask_text
    >>> mask_text("redis://app:hunter2@cache:6379")
    'redis://***@cache:6379'

``Readiness`` answers ``/health/ready``, ``SecurityLog`` bounds what an attacker can write to the log, ``HTTPObserver``
is the middleware that gives each request its correlation, its access log line and its count.
"""
