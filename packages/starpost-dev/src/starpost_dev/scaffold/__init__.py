"""Writing the code of a new packet: what was asked for, the files' new contents, and the change of the checkout."""

from starpost_dev.scaffold.changes import Changes
from starpost_dev.scaffold.errors import ScaffoldError
from starpost_dev.scaffold.packet import Packet, parse_fields, parse_reply, parse_rule
from starpost_dev.scaffold.plan import plan

__all__ = ["Changes", "Packet", "ScaffoldError", "parse_fields", "parse_reply", "parse_rule", "plan"]
