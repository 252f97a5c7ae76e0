"""May they: the permission table of ``actions.json``, for packets, routes and topics alike."""

from app.framework.rbac.actions import ActionsError, ActionTable
from app.framework.rbac.coverage import DeclaredPacket, DeclaredRoute, DeclaredTopic, coverage_faults
from app.framework.rbac.rules import Rule

__all__ = [
    "ActionTable",
    "ActionsError",
    "DeclaredPacket",
    "DeclaredRoute",
    "DeclaredTopic",
    "Rule",
    "coverage_faults",
]
