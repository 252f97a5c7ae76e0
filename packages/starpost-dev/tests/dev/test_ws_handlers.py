"""``make ws-handlers`` as a process, and its table."""

import datetime as dt
import io
import json
import os
import subprocess
from pathlib import Path
from typing import Annotated, Any

import pytest
from msgspec import Meta, UnsetType

from starpost import NoData, Page, ResponseModel
from starpost.packets import SystemPacket
from starpost_dev.commands.ws_handlers import WIDTH, PacketRow, type_name, write_table
from tests.dev.commands import command, environment, run_command
from tests.specimen import ACTIONS_FILE
from tests.specimen.domains.authors.schemas import AuthorView
from tests.specimen.pkg_ids import PkgID


def ws_handlers(*options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    nowhere = {"DB_HOST": "there.is.none.invalid", "REDIS_IP": "there.is.none.invalid"}
    return run_command("ws_handlers", *options, **nowhere | environ)


def test_for_people() -> None:
    result = ws_handlers()
    assert (result.returncode, result.stderr) == (0, "")
    # A wide table has the handlers on lines of their own; the words are the same.
    words = result.stdout.split()
    assert words[:6] == ["id", "name", "payload", "reply", "rule", "handler"]
    create = words.index("CREATE_AUTHOR")
    assert words[create - 1 : create + 4] == ["2", "CREATE_AUTHOR", "AuthorName", "AuthorView", "author-editor"]
    file, _, line = words[create + 4].partition(":")
    assert "PkgID.CREATE_AUTHOR" in Path(file).read_text().splitlines()[int(line) - 1]
    assert all(len(line) <= WIDTH for line in result.stdout.splitlines())


def test_for_programs() -> None:
    result = ws_handlers("--json")
    assert (result.returncode, result.stderr) == (0, "")
    rows = json.loads(result.stdout)
    assert {row["name"] for row in rows} >= {number.name for number in PkgID}
    by_name = {row["name"]: row for row in rows}
    assert by_name["GET_AUTHORS"] | {"handler": ""} == {
        "id": 1,
        "name": "GET_AUTHORS",
        "payload": "AuthorQuery",
        "reply": "Page[AuthorView]",
        "rule": "author-reader",
        "handler": "",
        "pushed": False,
        "deprecated": False,
        "summary": "A page of authors.",
    }
    system = {row["name"]: row["pushed"] for row in rows if row["id"] < 0}
    assert system.items() >= {"PING": False, "AUTH": False, "CLOSING": True, "TOKEN_EXPIRING": True}.items()
    assert system.keys() <= set(SystemPacket.__members__)
    numbers = [row["id"] for row in rows]
    assert numbers == [n for n in numbers if n > 0] + [n for n in numbers if n < 0]


def test_a_reader_that_goes_away() -> None:
    """As in ``make ws-handlers | head``."""
    reading, writing = os.pipe()
    os.close(reading)
    result = subprocess.run(
        command("ws_handlers"), env=environment(), stdout=writing, stderr=subprocess.PIPE, timeout=100, check=False
    )
    os.close(writing)
    assert (result.returncode, result.stderr) == (0, b"")


def test_an_application_that_would_not_start(tmp_path: Path) -> None:
    table = json.loads(ACTIONS_FILE.read_bytes())
    del table["ws"]["2"]
    table["ws"]["900"] = "admin"
    (tmp_path / "actions.json").write_text(json.dumps(table))
    result = ws_handlers(ACTIONS_FILE_PATH=str(tmp_path / "actions.json"))
    assert (result.returncode, result.stdout) == (1, "")
    assert all(line.startswith("ws-handlers: ") for line in result.stderr.splitlines())
    assert "CREATE_AUTHOR has no rule" in result.stderr
    assert "no packet 900" in result.stderr


def test_wrong_settings() -> None:
    result = ws_handlers(PORT="x")
    assert (result.returncode, result.stdout) == (1, "")
    assert "PORT" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (AuthorView, "AuthorView"),
        (None, "-"),
        (NoData, "-"),
        (Page[AuthorView], "Page[AuthorView]"),
        (ResponseModel[list[AuthorView]], "ResponseModel[list[AuthorView]]"),
        (dict[str, Any], "dict[str, Any]"),
        (AuthorView | None, "AuthorView | None"),
        (tuple[int, ...], "tuple[int, ...]"),
        (Annotated[int, Meta(ge=1)] | UnsetType, "int"),
        (list[dt.datetime], "list[datetime]"),
    ],
)
def test_types_as_a_reader_would_write_them(kind: Any, name: str) -> None:
    assert type_name(kind) == name


def table_of(*rows: PacketRow) -> list[str]:
    out = io.StringIO()
    write_table(rows, out, WIDTH)
    return out.getvalue().splitlines()


def row(**members: Any) -> PacketRow:
    given: dict[str, Any] = {"id": 1, "name": "GET", "payload": "-", "reply": "-", "rule": "admin", "handler": "a.py:1"}
    return PacketRow(**{**given, "pushed": False, "deprecated": False, "summary": ""} | members)


def test_deprecated_packets_are_marked() -> None:
    assert table_of(row(deprecated=True), row(id=2))[1:] == [
        " 1  GET   -        -      admin  a.py:1 (deprecated)",
        " 2  GET   -        -      admin  a.py:1",
    ]


def test_a_table_too_wide_has_two_lines_for_each_packet() -> None:
    lines = table_of(row(payload="P" * 50, reply="R" * 50), row(id=-1))
    assert max(map(len, lines)) <= WIDTH + len("admin")
    assert lines[3] == "      a.py:1"
    assert len(lines) == 6
