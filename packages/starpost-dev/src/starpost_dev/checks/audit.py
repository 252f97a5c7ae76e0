"""``make audit``: known vulnerabilities of everything that is locked, by the OSV database.

Fails on each that has a fix and is no exception. Exceptions stand in ``requirements/audit.toml``, each with a reason
and a last day, after which it is none. The exit status is 3 when the database cannot be asked: nothing is known then.

``python -m starpost_dev.checks.audit [--database URL] [--exceptions FILE] [LOCK …]``
"""

import argparse
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import httpx
import msgspec

LOCKS = (Path("requirements/dev.lock"), Path("requirements/uv.txt"))
EXCEPTIONS = Path("requirements/audit.toml")
DATABASE: Final = "https://api.osv.dev/v1/query"

UNAVAILABLE: Final = 3
"""The exit status when the database cannot be asked."""

PATIENCE: Final = 15.0
"""Seconds for one answer of the database."""


class AuditError(Exception):
    """The audit cannot be made; the text says why."""


class Exempted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A vulnerability that is accepted until a day.

    Args:
        id: Of the database, or one of its aliases (CVE, GHSA, PYSEC).
        reason: Why it does no harm here, or why the fix cannot be taken.
        until: The last day.
    """

    id: str
    reason: Annotated[str, msgspec.Meta(min_length=1)]
    until: date


class Exceptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file of exceptions."""

    exception: list[Exempted] = []


@dataclass(frozen=True)
class Finding:
    """A known vulnerability of a locked version.

    Args:
        package: Name and version.
        ids: Of the database, and its aliases.
        fixes: Versions without it.
    """

    package: str
    ids: frozenset[str]
    fixes: tuple[str, ...]

    def __str__(self) -> str:
        fix = f"mended in {', '.join(self.fixes)}" if self.fixes else "no fix yet"
        return f"{self.package}: {', '.join(sorted(self.ids))} ({fix})"


def exceptions_of(path: Path) -> list[Exempted]:
    """Read the list.

    Raises:
        AuditError: An entry has no id, no reason or no day, or more than these.
    """
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Exceptions).exception
    except (msgspec.DecodeError, tomllib.TOMLDecodeError) as error:
        raise AuditError(f"{path.name}: {error}") from error


def is_reachable(database: str) -> bool:
    """Whether the database answers a question; pip-audit fails alike for this and for other reasons."""
    question = {"package": {"name": "pip", "ecosystem": "PyPI"}, "version": "1.0"}
    try:
        answer = httpx.post(database, json=question, timeout=PATIENCE)
        return answer.is_success and isinstance(answer.json(), dict)
    except (httpx.HTTPError, ValueError):
        return False


def findings_of(locks: Sequence[Path], database: str) -> Iterator[Finding]:
    """Ask about every version of the lock files.

    Raises:
        AuditError: pip-audit failed, or could not ask about one.
    """
    command = [sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip", "--progress-spinner=off"]
    command += ["--vulnerability-service=osv", f"--osv-url={database}", "--format=json", f"--timeout={PATIENCE:.0f}"]
    for lock in locks:
        command += ["--requirement", str(lock)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    try:
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError) as error:
        raise AuditError(done.stderr.strip() or "pip-audit said nothing") from error
    for package in packages:
        if reason := package.get("skip_reason"):
            raise AuditError(reason)
        for found in package["vulns"]:
            yield Finding(
                f"{package['name']} {package['version']}",
                frozenset((found["id"], *found["aliases"])),
                tuple(found["fix_versions"]),
            )


def verdict_on(findings: Sequence[Finding], exceptions: Sequence[Exempted], today: date) -> tuple[list[str], list[str]]:
    """Return what makes the audit fail, and what is only told."""
    faults, notes = [], []
    for finding in findings:
        exempted = next((entry for entry in exceptions if entry.id in finding.ids), None)
        if exempted is not None and exempted.until >= today:
            notes.append(f"{finding}: accepted until {exempted.until}: {exempted.reason}")
        elif not finding.fixes:
            notes.append(str(finding))
        elif exempted is not None:
            faults.append(f"{finding}: was accepted until {exempted.until}: {exempted.reason}")
        else:
            faults.append(str(finding))
    known = {name for finding in findings for name in finding.ids}
    notes += [f"the exception {entry.id} is not needed any more" for entry in exceptions if entry.id not in known]
    return faults, notes


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what is known; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m starpost_dev.checks.audit", description=__doc__)
    parser.add_argument("--database", default=DATABASE)
    parser.add_argument("--exceptions", type=Path, default=EXCEPTIONS)
    parser.add_argument("locks", nargs="*", type=Path)
    options = parser.parse_args(arguments)
    try:
        exceptions = exceptions_of(options.exceptions)
        if not is_reachable(options.database):
            print(f"the database of vulnerabilities cannot be asked: {options.database}", file=sys.stderr)
            return UNAVAILABLE
        findings = list(findings_of(options.locks or LOCKS, options.database))
    except AuditError as error:
        print(error, file=sys.stderr)
        return 1
    faults, notes = verdict_on(findings, exceptions, datetime.now(UTC).date())
    for note in notes:
        print(f"  note  {note}")
    for fault in faults:
        print(f"FAILED  {fault}")
    print(f"{len(findings)} known vulnerabilities, {len(faults)} to be mended")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
