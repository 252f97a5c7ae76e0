"""Scaffold of a new packet: the checked input, the new contents of the files, and their change.

The change is complete or undone::

    from starpost_dev.scaffold import Changes

    with Changes(contents, originals) as changes:
        check()             # an exception restores every file
        changes.keep()

Nothing is overwritten: a file that has changed meanwhile stops everything before the first is written.
"""

from starpost_dev.scaffold.changes import Changes
from starpost_dev.scaffold.errors import ScaffoldError
from starpost_dev.scaffold.packet import Packet, parse_fields, parse_reply, parse_rule
from starpost_dev.scaffold.plan import Plan, plan

__all__ = ["Changes", "Packet", "Plan", "ScaffoldError", "parse_fields", "parse_reply", "parse_rule", "plan"]
