import json

from starpost.rbac.actions import ActionTable
from starpost.rbac.coverage import DeclaredPacket, DeclaredRoute, DeclaredTopic, coverage_faults

TABLE = ActionTable.parse(
    json.dumps(
        {
            "roles": ["a"],
            "ws": {"1": "a", "9": "a"},
            "http": {"/x": {"GET": "a", "DELETE": "a"}},
            "topics": {"t.{id}": "a", "gone": "a"},
        }
    ).encode()
)


def test_a_table_that_fits_has_no_faults() -> None:
    packets = [
        DeclaredPacket(1, "ONE", "p.py:1"),
        DeclaredPacket(9, "NINE", "p.py:9"),
        DeclaredPacket(-1, "PING", "s.py:1"),
    ]
    routes = [DeclaredRoute("/x", "GET", "r.py:1"), DeclaredRoute("/x", "DELETE", "r.py:2")]
    topics = [DeclaredTopic("t.{id}", "t.py:1"), DeclaredTopic("gone", "t.py:2")]

    assert coverage_faults(TABLE, packets, routes, topics) == []


def test_every_gap_is_named_both_ways() -> None:
    packets = [
        DeclaredPacket(1, "ONE", "p.py:1"),
        DeclaredPacket(2, "TWO", "p.py:2"),
        DeclaredPacket(3, "THREE", "p.py:3"),
    ]
    routes = [
        DeclaredRoute("/x", "GET", "r.py:1"),
        DeclaredRoute("/x", "POST", "r.py:2"),
        DeclaredRoute("/static", "MOUNT", "r.py:3"),
    ]
    topics = [DeclaredTopic("t.{id}", "t.py:1"), DeclaredTopic("t", "t.py:2")]

    assert coverage_faults(TABLE, packets, routes, topics) == [
        'p.py:2: packet 2 TWO has no rule; add $.ws["2"]',
        'p.py:3: packet 3 THREE has no rule; add $.ws["3"]',
        "r.py:3: a mounted application at /static cannot have a rule, so it would answer everybody",
        'r.py:2: POST /x has no rule; add $.http["/x"].POST',
        't.py:2: topic t has no rule; add $.topics["t"]',
        '$.ws["9"]: there is no packet 9',
        '$.http["/x"].DELETE: there is no route DELETE /x',
        '$.topics["gone"]: there is no topic gone',
    ]
