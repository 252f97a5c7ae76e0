"""``make check-actions`` as a process, against the tables of this project and against wrong ones."""

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.dev.commands import run_command
from tests.specimen import ACTIONS_FILE

TABLE = json.loads(ACTIONS_FILE.read_bytes())


def check_actions(*options: str, table: Path | None = None) -> subprocess.CompletedProcess[str]:
    changes = {} if table is None else {"ACTIONS_FILE_PATH": str(table)}
    return run_command("check_actions", *options, **changes)


def write(path: Path, **changes: Any) -> Path:
    path.write_text(json.dumps(TABLE | changes))
    return path


def test_the_matrix_for_people() -> None:
    result = check_actions()

    assert (result.returncode, result.stderr) == (0, "")
    header, *lines = result.stdout.splitlines()
    assert header.split() == ["anonymous", "no", "role", "admin", "author-editor", "author-reader", "rule"]
    delete = next(line for line in lines if "DELETE_AUTHOR" in line)
    assert delete.split() == ["packet", "5", "DELETE_AUTHOR", "-", "-", "yes", "-", "-", "admin"]
    assert any(line.split()[:3] == ["route", "DELETE", "/authors/{author_id}"] for line in lines)


def test_the_matrix_for_programs() -> None:
    result = check_actions("--json")

    document = json.loads(result.stdout)
    assert result.returncode == 0
    assert document["faults"] == []
    assert {row["key"] for row in document["actions"] if row["kind"] == "packet"} == TABLE["ws"].keys()


def test_drift_fails_and_every_fault_is_named(tmp_path: Path) -> None:
    ws = {key: rule for key, rule in TABLE["ws"].items() if key != "5"} | {"4": "nobody", "900": "admin"}
    http = {path: methods for path, methods in TABLE["http"].items() if path != "/authors"}
    result = check_actions(table=write(tmp_path / "actions.json", ws=ws, http=http))

    assert result.returncode == 1
    assert result.stdout == ""
    for fault in (
        "packet 5 DELETE_AUTHOR has no rule",
        "$.ws[\"4\"]: undeclared role 'nobody'",
        '$.ws["900"]: there is no packet 900',
        "GET /authors has no rule",
        "POST /authors has no rule",
    ):
        assert fault in result.stderr
    assert "packet 4" not in result.stderr, "a wrong rule is one fault, not two"
    assert "tests/specimen/domains/authors/packets.py:" in result.stderr


def test_a_file_that_is_no_table_fails(tmp_path: Path) -> None:
    path = tmp_path / "actions.json"
    path.write_text("{")
    result = check_actions("--json", table=path)

    assert result.returncode == 1
    assert json.loads(result.stdout)["faults"]
    assert "$: is not JSON" in result.stderr
