"""Rules in documents, written as in ``actions.json``, so that a client can evaluate them by the same grammar."""

from typing import Any

from starpost.rbac.rules import AllOf, AnyOf, Authenticated, Rule


def rule_as_written(rule: Rule) -> Any:
    """Return ``"role"``, ``["a", "b"]``, ``{"any": ["a", "b"]}``, ``"authenticated"`` or ``"public"``.

    Raises:
        TypeError: The permission table has no rules of this type.
    """
    match rule:
        case Authenticated():  # and Public, which is one
            return str(rule)
        case AllOf():
            roles = sorted(rule.roles)
            return roles[0] if len(roles) == 1 else roles
        case AnyOf():
            return {"any": sorted(rule.roles)}
    raise TypeError(f"not a rule of the permission table: {rule!r}")
