"""Packet numbers are for ever: clients in the field know them.

``pkg_ids.json`` beside this file is the record. Adding a packet means adding its line there; a line is never changed
and never removed. A packet that is gone keeps its line, and its number is never given again.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from app.pkg_ids import PkgID
from starpost.packets import SystemPacket

RECORD = Path(__file__).with_name("pkg_ids.json")


def record() -> dict[str, int]:
    """Numbers by name."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert not [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
        return dict(pairs)

    numbers: dict[str, int] = json.loads(RECORD.read_text(), object_pairs_hook=once)
    return numbers


def test_every_number_is_on_record_as_it_is() -> None:
    recorded = record()
    unrecorded = {name: int(number) for name, number in PkgID.__members__.items() if name not in recorded}
    assert not unrecorded, f"add to {RECORD.name}: {json.dumps(unrecorded)}"
    renumbered = {name: int(number) for name, number in PkgID.__members__.items() if recorded[name] != number}
    assert not renumbered, f"clients know other numbers: {renumbered}"


def test_no_number_was_ever_given_twice() -> None:
    assert not [number for number, count in Counter(record().values()).items() if count > 1]
    assert len(PkgID.__members__) == len(PkgID)


def test_numbers_of_packets_that_are_gone_are_not_given_again() -> None:
    gone = {number: name for name, number in record().items() if name not in PkgID.__members__}
    assert not {number.name: gone[number] for number in PkgID if number in gone}


def test_numbers_are_positive() -> None:
    assert all(number > 0 for number in record().values())


def test_the_systems_numbers_are_those_of_the_contract() -> None:
    contract = {
        "PING": -1,
        "AUTH": -2,
        "SUBSCRIBE": -3,
        "UNSUBSCRIBE": -4,
        "CANCEL": -5,
        "CLOSING": -6,
        "GAP": -7,
        "TOKEN_EXPIRING": -8,
        "PRESENCE": -9,
    }
    assert {number.name: int(number) for number in SystemPacket}.items() <= contract.items()
    assert {"PING", "AUTH", "CANCEL", "CLOSING", "TOKEN_EXPIRING"} <= set(SystemPacket.__members__)
