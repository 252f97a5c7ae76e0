"""The command itself: its arguments, and a run of a second with real servers."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench.__main__ import chosen, main
from bench.cases import CASES

ROOT = Path.cwd()


def test_cases_are_chosen_by_name_or_its_beginning() -> None:
    assert chosen("") == list(CASES.values())
    assert [case.name for case in chosen("trivial, batch")] == ["trivial", "batch-16", "batch-64"]
    with pytest.raises(KeyError, match="nonsense"):
        chosen("trivial,nonsense")


@pytest.mark.parametrize("arguments", [("--cases", "nonsense"), ("--rounds", "0"), ("--seconds", "0")])
def test_wrong_arguments_are_refused(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_list_names_every_case(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(CASES)


def test_a_short_run_measures_both_sides(tmp_path: Path) -> None:
    record, chart = tmp_path / "record.json", tmp_path / "chart.svg"
    options = ("--cases=trivial,http-guarded", "--rounds=1", "--seconds=0.3", f"--json={record}", f"--svg={chart}")
    done = subprocess.run(
        [sys.executable, "-m", "bench", *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    written = json.loads(record.read_text())
    assert written["http_load"] == ("wrk" if shutil.which("wrk") else "own client")
    assert f"HTTP load: {written['http_load']}" in done.stdout
    for case in written["cases"].values():
        assert case["fault"] is None, done.stderr
        assert case["metrics"]["rate"]["ours"][0] > 0
        assert case["metrics"]["rate"]["theirs"][0] > 0
    assert ET.parse(chart).getroot().tag.endswith("svg")  # noqa: S314 - our own
    assert "trivial packet" in done.stdout
