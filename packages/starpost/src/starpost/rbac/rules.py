"""Permission rules, compiled once from ``actions.json`` and evaluated with the roles of a caller."""

from typing import ClassVar


class Rule:
    """Rule that decides by the roles of a caller with a valid token."""

    __slots__ = ()

    is_public: ClassVar[bool] = False
    """True if the rule allows callers without a token, too."""

    def allows(self, roles: frozenset[str]) -> bool:
        """Return whether the rule allows an authenticated caller with these roles."""
        raise NotImplementedError

    def __str__(self) -> str:
        """Return the rule as the matrix of ``make check-actions`` shows it."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self})"


class AllOf(Rule):
    """``"role"`` or ``["a", "b"]``: callers who have all of the roles."""

    __slots__ = ("roles",)

    def __init__(self, roles: frozenset[str]) -> None:
        self.roles = roles

    def allows(self, roles: frozenset[str]) -> bool:
        """Return whether the caller has all of the rule's roles."""
        return self.roles <= roles

    def __str__(self) -> str:
        return " and ".join(sorted(self.roles))


class Authenticated(AllOf):
    """``"authenticated"``: every caller with a valid token, as it needs no role."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(frozenset())

    def __str__(self) -> str:
        return "authenticated"


class Public(Authenticated):
    """``"public"``: every caller, with a token or without."""

    __slots__ = ()
    is_public = True

    def __str__(self) -> str:
        return "public"


class AnyOf(Rule):
    """``{"any": ["a", "b"]}``: callers who have one of the roles."""

    __slots__ = ("roles",)

    def __init__(self, roles: frozenset[str]) -> None:
        self.roles = roles

    def allows(self, roles: frozenset[str]) -> bool:
        """Return whether the caller has one of the rule's roles."""
        return not self.roles.isdisjoint(roles)

    def __str__(self) -> str:
        return " or ".join(sorted(self.roles))


class EitherOf(Rule):
    """Callers whom one of several rules allows. For ``OPTIONS``, which lists the methods of a path."""

    __slots__ = ("rules",)

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self.rules = rules

    def allows(self, roles: frozenset[str]) -> bool:
        """Return whether one of the rules allows the caller."""
        return any(rule.allows(roles) for rule in self.rules)

    def __str__(self) -> str:
        return ", or ".join(sorted({str(rule) for rule in self.rules}))


PUBLIC = Public()
AUTHENTICATED = Authenticated()
NOBODY = AnyOf(frozenset())
"""Rule in place of an invalid one, so that coverage does not report a missing rule as well."""
