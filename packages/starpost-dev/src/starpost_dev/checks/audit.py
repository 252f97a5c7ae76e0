"""``make audit``: known vulnerabilities of all locked versions, from the OSV database.

Fails on each vulnerability that has a fix, unless ``requirements/audit.toml`` has an exception for it, with a reason
and a last day. The exit status is 3 if the database does not answer, since nothing is known then.

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

from starpost_dev.checks.check_locks import Lock

LOCKS = (Path("requirements/dev.lock"), Path("requirements/uv.txt"))
EXCEPTIONS = Path("requirements/audit.toml")
DATABASE: Final = "https://api.osv.dev/v1/query"

UNAVAILABLE: Final = 3
"""Exit status if the database does not answer."""

PATIENCE: Final = 15.0
"""Time limit, in seconds, for an answer of the database."""


class AuditError(Exception):
    """The audit cannot be made; the message says why."""


class Exempted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Exception: a vulnerability that is accepted until a day.

    Args:
        id: Id in the database, or one of its aliases (CVE, GHSA, PYSEC).
        reason: Reason for which it does no harm here, or the fix cannot be used.
        until: Last day of the exception.
    """

    id: str
    reason: Annotated[str, msgspec.Meta(min_length=1)]
    until: date


class Exceptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """File of exceptions."""

    exception: list[Exempted] = []


@dataclass(frozen=True)
class Finding:
    """Known vulnerability of a locked version.

    Args:
        package: Name and version.
        ids: Id in the database, and its aliases.
        fixes: Versions without the vulnerability.
    """

    package: str
    ids: frozenset[str]
    fixes: tuple[str, ...]

    def __str__(self) -> str:
        fix = f"fixed in {', '.join(self.fixes)}" if self.fixes else "no fix yet"
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
    """Return whether the database answers. pip-audit does not tell this failure from others."""
    question = {"package": {"name": "pip", "ecosystem": "PyPI"}, "version": "1.0"}
    try:
        answer = httpx.post(database, json=question, timeout=PATIENCE)
        return answer.is_success and isinstance(answer.json(), dict)
    except (httpx.HTTPError, ValueError):
        return False


def findings_of(locks: Sequence[Path], database: str) -> Iterator[Finding]:
    """Ask pip-audit about every version in the lock files.

    Raises:
        AuditError: pip-audit failed, or skipped a package.
    """
    command = [sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip", "--progress-spinner=off"]
    command += ["--vulnerability-service=osv", f"--osv-url={database}", "--format=json", f"--timeout={PATIENCE:.0f}"]
    for lock in locks:
        command += ["--requirement", str(lock)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    try:
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError) as error:
        raise AuditError(done.stderr.strip() or "pip-audit printed nothing") from error
    vendored = {name for lock in locks for name in Lock(lock).vendored}
    for package in packages:
        if package["name"] in vendored:
            # No database knows it; the index may have something else under its name.
            continue
        if reason := package.get("skip_reason"):
            raise AuditError(reason)
        for found in package["vulns"]:
            yield Finding(
                f"{package['name']} {package['version']}",
                frozenset((found["id"], *found["aliases"])),
                tuple(found["fix_versions"]),
            )


def verdict_on(findings: Sequence[Finding], exceptions: Sequence[Exempted], today: date) -> tuple[list[str], list[str]]:
    """Return the findings that make the audit fail, and the notes that do not."""
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
    notes += [f"the exception {entry.id} is no longer needed" for entry in exceptions if entry.id not in known]
    return faults, notes


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the findings, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m starpost_dev.checks.audit", description=__doc__)
    parser.add_argument("--database", default=DATABASE)
    parser.add_argument("--exceptions", type=Path, default=EXCEPTIONS)
    parser.add_argument("locks", nargs="*", type=Path)
    options = parser.parse_args(arguments)
    try:
        exceptions = exceptions_of(options.exceptions)
        if not is_reachable(options.database):
            print(f"the database of vulnerabilities does not answer: {options.database}", file=sys.stderr)
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
    print(f"{len(findings)} known vulnerabilities, {len(faults)} to fix")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
