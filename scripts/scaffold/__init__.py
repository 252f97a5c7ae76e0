"""Writing the code of a new packet: what was asked for, the files' new contents, and the change of the checkout."""

from scripts.scaffold.changes import Changes
from scripts.scaffold.errors import ScaffoldError
from scripts.scaffold.packet import Packet, parse_fields, parse_reply, parse_rule
from scripts.scaffold.plan import plan

__all__ = ["Changes", "Packet", "ScaffoldError", "parse_fields", "parse_reply", "parse_rule", "plan"]
