from hypothesis import given
from hypothesis import strategies as st

from starpost.rbac.rules import AUTHENTICATED, PUBLIC, AllOf, AnyOf, EitherOf, Rule

role_sets = st.frozensets(st.sampled_from("abcde"))
some_roles = st.frozensets(st.sampled_from("abcde"), min_size=1)


@given(wanted=some_roles, held=role_sets)
def test_all_of(wanted: frozenset[str], held: frozenset[str]) -> None:
    missing = [role for role in wanted if role not in held]

    assert AllOf(wanted).allows(held) is (not missing)


@given(wanted=some_roles, held=role_sets)
def test_any_of(wanted: frozenset[str], held: frozenset[str]) -> None:
    found = [role for role in held if role in wanted]

    assert AnyOf(wanted).allows(held) is bool(found)


@given(wanted=some_roles, held=role_sets, more=role_sets)
def test_more_roles_never_take_a_permission_away(
    wanted: frozenset[str], held: frozenset[str], more: frozenset[str]
) -> None:
    for rule in (AllOf(wanted), AnyOf(wanted), EitherOf((AllOf(wanted), AnyOf(more)))):
        assert not rule.allows(held) or rule.allows(held | more)


@given(first=some_roles, second=some_roles, held=role_sets)
def test_either_of(first: frozenset[str], second: frozenset[str], held: frozenset[str]) -> None:
    rules: tuple[Rule, ...] = (AllOf(first), AnyOf(second))

    assert EitherOf(rules).allows(held) is any(rule.allows(held) for rule in rules)


@given(held=role_sets)
def test_the_words(held: frozenset[str]) -> None:
    assert AUTHENTICATED.allows(held)
    assert PUBLIC.allows(held)


def test_only_public_is_for_everyone() -> None:
    assert PUBLIC.is_public
    assert not any(
        rule.is_public
        for rule in (AUTHENTICATED, AllOf(frozenset("a")), AnyOf(frozenset("a")), EitherOf((AUTHENTICATED,)))
    )


def test_rules_show_themselves_as_in_the_matrix() -> None:
    assert str(AllOf(frozenset({"b", "a"}))) == "a and b"
    assert str(AnyOf(frozenset({"b", "a"}))) == "a or b"
    assert str(EitherOf((AllOf(frozenset("a")), AUTHENTICATED))) == "a, or authenticated"
    assert str(PUBLIC) == "public"
    assert repr(AUTHENTICATED) == "Authenticated(authenticated)"
