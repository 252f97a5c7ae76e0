"""The log pipeline, read from the standard output of a process of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path.cwd()
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"


def run(code: str, level: str = "INFO", form: str = "json") -> str:
    prelude = (
        "import logging, structlog, warnings\n"
        "from starpost.observability import correlation\n"
        "from starpost.observability.logs import configure_logs\n"
        f"configure_logs({level!r}, {form!r})\n"
        "log = structlog.get_logger('app.part')\n"
    )
    return subprocess.run(
        [sys.executable, "-c", prelude + code], cwd=ROOT, text=True, capture_output=True, check=True
    ).stdout


def lines(code: str, level: str = "INFO") -> list[dict[str, Any]]:
    return [json.loads(line) for line in run(code, level).splitlines()]


def test_a_line_of_ours() -> None:
    (line,) = lines("log.info('saved', author=7)")
    assert line.pop("timestamp").endswith("Z")
    assert line == {"level": "info", "event": "saved", "logger": "app.part", "author": 7}


def test_libraries_go_the_same_way() -> None:
    ours, theirs = lines(
        "correlation.enter(correlation.PacketCorrelation('c1', 'alice', 1, 'r1'))\n"
        "log.warning('a')\n"
        f"logging.getLogger('lib').warning('got %s', '{JWT}', extra={{'token': 'x'}})"
    )
    assert theirs["event"] == "got ***"
    assert theirs["logger"] == "lib"
    for line in (ours, theirs):
        assert line["connection"] == "c1"
        assert line["correlation_id"] == ours["correlation_id"]
        assert line["user"] == "alice"


def test_fields_of_the_call_win() -> None:
    (line,) = lines("correlation.enter(correlation.Correlation(known_id='x')); log.info('a', correlation_id='mine')")
    assert line["correlation_id"] == "mine"


def test_levels() -> None:
    code = "log.debug('a'); log.info('b'); logging.getLogger('httpx').info('c'); logging.getLogger('x').info('d')"
    assert [line["event"] for line in lines(code)] == ["b", "d"]
    assert [line["event"] for line in lines(code, "DEBUG")] == ["a", "b", "c", "d"]
    assert lines(code, "ERROR") == []


def test_a_traceback_is_one_line_and_shows_no_variables() -> None:
    code = (
        "def f(token):\n"
        "    raise ValueError('broken')\n"
        "try:\n"
        f"    f('{JWT}')\n"
        "except ValueError:\n"
        "    log.exception('failed')\n"
        "    logging.getLogger('lib').exception('failed too')\n"
    )
    for line in lines(code):
        assert "ValueError: broken" in line["exception"]
        assert JWT not in line["exception"]


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_form_shows_a_secret(form: str) -> None:
    output = run(f"log.info('a {JWT}', password='hunter2'); logging.getLogger('x').error('Bearer hunter2')", form=form)
    assert "a ***" in output
    assert "hunter2" not in output
    assert JWT not in output


def test_setting_up_again_reaches_loggers_in_use() -> None:
    code = (
        "log.info('a'); configure_logs('INFO', 'console'); log.info('b'); configure_logs('INFO', 'json'); log.info('c')"
    )
    first, second, third = run(code).splitlines()
    assert json.loads(first)["event"] == "a"
    assert not second.startswith("{")
    assert json.loads(third)["event"] == "c"


def test_warnings_and_odd_values_are_written() -> None:
    warned, odd = lines("warnings.warn('old'); log.info('a', what=object, b=b'x', when={1, 2})")
    assert "old" in warned["event"]
    assert odd["what"] == "<class 'object'>"
