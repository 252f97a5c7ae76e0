"""One permission rule: who may. Compiled once from ``actions.json``, asked with the roles of a caller."""

from typing import ClassVar


class Rule:
    """Decides by the roles of a caller who has a valid token."""

    __slots__ = ()

    is_public: ClassVar[bool] = False
    """Whether a caller without a token may as well."""

    def allows(self, roles: frozenset[str]) -> bool:
        """Whether an authenticated caller with these roles may."""
        raise NotImplementedError

    def __str__(self) -> str:
        """The rule as in the matrix of ``make check-actions``."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self})"


class AllOf(Rule):
    """``"role"`` or ``["a", "b"]``: who has all of them."""

    __slots__ = ("roles",)

    def __init__(self, roles: frozenset[str]) -> None:
        self.roles = roles

    def allows(self, roles: frozenset[str]) -> bool:
        """Whether none of the rule's roles is missing."""
        return self.roles <= roles

    def __str__(self) -> str:
        return " and ".join(sorted(self.roles))


class Authenticated(AllOf):
    """``"authenticated"``: everyone with a valid token, who has all of no roles."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(frozenset())

    def __str__(self) -> str:
        return "authenticated"


class Public(Authenticated):
    """``"public"``: everyone, with a token or without."""

    __slots__ = ()
    is_public = True

    def __str__(self) -> str:
        return "public"


class AnyOf(Rule):
    """``{"any": ["a", "b"]}``: who has one of them."""

    __slots__ = ("roles",)

    def __init__(self, roles: frozenset[str]) -> None:
        self.roles = roles

    def allows(self, roles: frozenset[str]) -> bool:
        """Whether one of the rule's roles is there."""
        return not self.roles.isdisjoint(roles)

    def __str__(self) -> str:
        return " or ".join(sorted(self.roles))


class EitherOf(Rule):
    """Who one of several rules lets through: the methods of a path, for the ``OPTIONS`` that tells their names."""

    __slots__ = ("rules",)

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self.rules = rules

    def allows(self, roles: frozenset[str]) -> bool:
        """Whether one of the rules lets through."""
        return any(rule.allows(roles) for rule in self.rules)

    def __str__(self) -> str:
        return ", or ".join(sorted({str(rule) for rule in self.rules}))


PUBLIC = Public()
AUTHENTICATED = Authenticated()
NOBODY = AnyOf(frozenset())
"""Stands where the table has a rule that is wrong, so that its place does not count as one without a rule."""
