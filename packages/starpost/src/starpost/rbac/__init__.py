"""Authorization: the permission table of ``actions.json``, for packets, routes and topics. No rule means no.

    >>> from starpost.rbac import ActionTable
    >>> table = ActionTable.parse(b'''{
    ...     "roles": ["reader", "editor"],
    ...     "ws": {"1": "reader", "2": {"any": ["editor"]}},
    ...     "http": {"/authors/{author_id}": {"GET": "reader"}}
    ... }''')
    >>> sorted(table.packets_for(frozenset({"reader"})))
    [1]
    >>> table.http_rule("/authors/{author_id}", "GET").allows(frozenset({"editor"}))
    False
    >>> table.http_rule("/authors", "GET") is None
    True

A document with faults raises ``ActionsError``, which lists all of them. ``coverage_faults`` compares the rules with the
code, both ways; ``create_app`` does so before it starts. ``permission_guard`` applies the rules to routes, the
dispatcher those of packets, and the topic hub those of topics.
"""

from starpost.rbac.actions import ActionsError, ActionTable
from starpost.rbac.coverage import DeclaredPacket, DeclaredRoute, DeclaredTopic, coverage_faults
from starpost.rbac.rules import Rule

__all__ = [
    "ActionTable",
    "ActionsError",
    "DeclaredPacket",
    "DeclaredRoute",
    "DeclaredTopic",
    "Rule",
    "coverage_faults",
]
