"""May they: the permission table of ``actions.json``, for packets, routes and topics alike."""

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
