"""Log pipeline for every line: ours come through structlog, those of libraries through the standard ``logging``.

Correlation, level, time, masking and form (JSON, or text on a terminal) are the same for both. A call below the level
costs one method that does nothing.
"""

import json
import logging
import logging.config
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec
import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from starpost.observability import correlation
from starpost.observability.masking import mask_secrets

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
LogFormat = Literal["auto", "json", "console"]

CHATTY: Final = (
    "_granian", "httpcore", "httpx", "urllib3", "watchfiles", "asyncio", "sqlalchemy", "alembic",
    # SQLAlchemy's pools log by the module of their class.
    "starpost.db.pool",
)  # fmt: skip
"""Loggers that write too much at INFO. Their lines are written from WARNING on, or when the level is DEBUG."""


_processors: Final[list[Processor]] = []


def configure_logs(level: LogLevel, form: LogFormat) -> None:
    """Set up the pipeline of this process. May be called again."""
    # The same list object each time: loggers that have been used hold a reference to it.
    _processors[:] = [*_common(), *_rendering(form)]
    structlog.configure(
        processors=_processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_Output,
        # A line below the level takes 0.8 µs with the cache; without it, each call assembles its logger again: 4 µs.
        cache_logger_on_first_use=True,
    )
    logging.config.dictConfig(stdlib_config(level, form))
    logging.captureWarnings(capture=True)


def stdlib_config(level: LogLevel, form: LogFormat) -> dict[str, Any]:
    """Return the ``dictConfig`` that sends libraries' lines through the pipeline. Granian pickles it for workers."""
    quiet = level if level in ("DEBUG", "ERROR") else "WARNING"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"pipeline": {"()": f"{__name__}.PipelineFormatter", "form": form}},
        "handlers": {
            "stdout": {"class": "logging.StreamHandler", "formatter": "pipeline", "stream": "ext://sys.stdout"}
        },
        "root": {"level": level, "handlers": ["stdout"]},
        # Granian expects the entry of its own logger.
        "loggers": {name: {"level": quiet} for name in CHATTY},
    }


def makes_json(processors: Sequence[Processor]) -> bool:
    """Return whether a logger with these processors writes JSON now; ``False`` until ``configure_logs``."""
    # Asked for each line: a test that captures lines replaces what is in the list.
    return processors[-1] is render_json


class _Output:
    """Write to ``sys.stdout``, looked up at each call, so that tests can replace it."""

    def __init__(self, name: str = "") -> None:
        self.name = name

    def msg(self, line: str) -> None:
        """Write one line in one piece, and flush."""
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    debug = info = warning = error = critical = msg


class PipelineFormatter(structlog.stdlib.ProcessorFormatter):
    """Formats a ``logging`` record as if it were an event of ours.

    Args:
        form: Form of the lines.
    """

    def __init__(self, form: LogFormat) -> None:
        super().__init__(
            processors=[*_common()[:-1], self.remove_processors_meta, mask_secrets, *_rendering(form)],
        )


def add_correlation(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Add the fields of the current request or packet; fields of the call itself win."""
    current = correlation.current()
    if current is not None:
        for name, value in current.fields().items():
            event.setdefault(name, value)
    return event


def add_logger_name(logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Add the name of the module that writes, ours or a library's."""
    record = event.get("_record")
    name = getattr(logger, "name", "") if record is None else record.name
    if name:
        event["logger"] = name
    return event


def _common() -> list[Processor]:
    return [
        add_correlation,
        add_logger_name,
        structlog.processors.add_log_level,
        structlog.processors.StackInfoRenderer(),
        # Tracebacks without the frames' variables, which hold tokens and other people's data.
        structlog.processors.format_exc_info,
        mask_secrets,
    ]


def _rendering(form: LogFormat) -> list[Processor]:
    as_json = form == "json" or (form == "auto" and not sys.stdout.isatty())
    if as_json:
        return [render_json]
    return [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty()),
    ]


_encoder: Final = msgspec.json.Encoder(enc_hook=repr)


def render_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """Return the event as one line of JSON; a value that JSON cannot hold becomes its ``repr``."""
    # The encoder formats the time itself (RFC 3339), at a sixth of the price of `isoformat`.
    line = {
        "timestamp": datetime.now(UTC),
        "level": event.pop("level", None),
        "event": event.pop("event", None),
        **event,
    }
    try:
        return _encoder.encode(line).decode()
    except UnicodeEncodeError:
        # Lone surrogates, as in a file name that is not UTF-8. `json.dumps` escapes them, so the line is not lost.
        return json.dumps(line | {"timestamp": line["timestamp"].isoformat()}, default=repr)
