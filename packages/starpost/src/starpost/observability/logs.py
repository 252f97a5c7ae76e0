"""One pipeline for every line: ours through structlog, the libraries' through the standard ``logging``.

Correlation, level, time, masking and the form (JSON, or text on a terminal) are the same for both. A call below the
level costs a method that does nothing.
"""

import json
import logging
import logging.config
import sys
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
"""Libraries that write lines of no interest at INFO; they are heard from WARNING on, or at DEBUG."""


_processors: Final[list[Processor]] = []


def configure_logs(level: LogLevel, form: LogFormat) -> None:
    """Set the pipeline of this process up; may be called again."""
    # The same list each time: loggers that have been used keep it.
    _processors[:] = [*_common(), *_rendering(form)]
    structlog.configure(
        processors=_processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_Output,
        # Without, each call puts its logger together again: 4 µs for a line that is below the level, now 0.8.
        cache_logger_on_first_use=True,
    )
    logging.config.dictConfig(stdlib_config(level, form))
    logging.captureWarnings(capture=True)


def stdlib_config(level: LogLevel, form: LogFormat) -> dict[str, Any]:
    """The ``dictConfig`` that sends the libraries' lines through the pipeline. It pickles: Granian hands it on."""
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


def writes_json() -> bool:
    """Whether the lines of this process are JSON now; until ``configure_logs`` they are not."""
    # Of structlog, not of this module: what captures lines puts itself there.
    return bool(structlog.get_config()["processors"][-1] is render_json)


class _Output:
    """Writes to the standard output of the moment of the call: who replaces it, as tests do, gets the lines."""

    def __init__(self, name: str = "") -> None:
        self.name = name

    def msg(self, line: str) -> None:
        """Write one line, in one piece, and at once."""
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    debug = info = warning = error = critical = msg


class PipelineFormatter(structlog.stdlib.ProcessorFormatter):
    """Formats a ``logging`` record as if it were an event of ours.

    Args:
        form: How lines are written.
    """

    def __init__(self, form: LogFormat) -> None:
        super().__init__(
            processors=[*_common()[:-1], self.remove_processors_meta, mask_secrets, *_rendering(form)],
        )


def add_correlation(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Say which request or packet the line belongs to; fields of the call itself win."""
    current = correlation.current()
    if current is not None:
        for name, value in current.fields().items():
            event.setdefault(name, value)
    return event


def add_logger_name(logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Say which module writes, ours or a library's."""
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
        # Text without the frames' variables: they hold tokens and other people's data.
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
    """One line; what JSON does not know is written as its ``repr``."""
    # The encoder writes the time itself (RFC 3339): a sixth of what a time as text costs.
    line = {
        "timestamp": datetime.now(UTC),
        "level": event.pop("level", None),
        "event": event.pop("event", None),
        **event,
    }
    try:
        return _encoder.encode(line).decode()
    except UnicodeEncodeError:
        # Text that is no Unicode, such as a file's name: a line that cannot be written would be another fault.
        return json.dumps(line | {"timestamp": line["timestamp"].isoformat()}, default=repr)
