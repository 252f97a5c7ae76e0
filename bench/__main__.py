"""``python -m bench``: measure the cases and print the comparison. The exit status is 0 whatever the result."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from bench import growth, growth_chart
from bench.cases import CASES
from bench.cases.requests import HTTP_LOAD
from bench.chart import bars, svg
from bench.measurement import Case
from bench.peers import LeftOutError, Peer
from bench.report import record, table
from bench.runner import run
from bench.site import site

GROWTH: Final = "growth"
"""Name of the case that has no yardstick: the lists' cost by the size of the table."""
CALLS: Final = 200
"""Calls of each of its lists."""
PEERS: Final = "peers"
"""Name of the cases whose yardstick is a server of another project."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure the application against its yardsticks.")
    parser.add_argument(
        "--cases",
        default="",
        help="names or beginnings of names, comma-separated; default: all; peers: beside other servers; growth: lists",
    )
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each side of a case in a round; default: 2")
    parser.add_argument("--pin", action="store_true", help="the servers on one core, everything else on the others")
    parser.add_argument("--json", type=Path, help="write everything that was measured to this file")
    parser.add_argument("--svg", type=Path, help="draw the ratios, or the growth, into this file")
    parser.add_argument("--list", action="store_true", help="name the cases and end")
    options = parser.parse_args(arguments)
    if options.list:
        print("\n".join(f"{case.name:<26} {case.title}" for case in CASES.values()))
        return 0
    if options.cases == GROWTH:
        curves = growth.run(CALLS)
        print(growth.report(curves))
        if options.svg is not None:
            options.svg.write_text(growth_chart.svg(growth.costly(curves)))
        return 0
    try:
        cases = chosen(options.cases)
    except KeyError as error:
        parser.error(str(error.args[0]))
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("at least one round, and more than no seconds")
    cases = prepared(cases)
    with site(is_pinned=options.pin) as surroundings:
        outcomes = run(surroundings, cases, rounds=options.rounds, seconds=options.seconds)
    print(table(outcomes))
    if any(case.name.startswith("http") for case in cases):
        print(f"\nHTTP load: {HTTP_LOAD}")
    if options.json is not None:
        written = record(outcomes, rounds=options.rounds, seconds=options.seconds, is_pinned=options.pin)
        options.json.write_text(json.dumps(written, indent=2, ensure_ascii=False) + "\n")
    if options.svg is not None:
        options.svg.write_text(svg(bars(outcomes)))
    return 0


def chosen(names: str) -> list[Case]:
    """Return the cases with these names or prefixes (``batch`` means both sizes), in the order of the table.

    Raises:
        KeyError: No case has such a name; the message lists all names.
    """
    wanted = [name for name in (part.strip() for part in names.split(",")) if name]
    for name in wanted:
        if not any(_is_meant(known, name) for known in CASES.values()):
            raise KeyError(f"there is no case {name!r}; there are: {PEERS}, {', '.join(CASES)}")
    return [case for case in CASES.values() if not wanted or any(_is_meant(case, name) for name in wanted)]


def _is_meant(case: Case, name: str) -> bool:
    return case.theirs.peer is not None if name == PEERS else case.name.startswith(name)


def prepared(cases: Sequence[Case]) -> list[Case]:
    """Build the peers of the cases; a case whose peer cannot run here is skipped, with the reason."""
    reasons: dict[str, str | None] = {}
    for case in cases:
        peer = case.theirs.peer
        if peer is not None and peer.name not in reasons:
            reasons[peer.name] = _reason_to_leave_out(peer)
    return [
        case if case.theirs.peer is None else replace(case, skipped=reasons[case.theirs.peer.name]) for case in cases
    ]


def _reason_to_leave_out(peer: Peer) -> str | None:
    try:
        peer.prepare()
    except LeftOutError as error:
        return f"{peer.name} is {error}"
    return None


if __name__ == "__main__":
    sys.exit(main())
