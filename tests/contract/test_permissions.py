"""Permission table of the application: nobody gets in by what the table does not mean.

Each domain has its own matrix of packets and routes beside its other tests.
"""

import json
import re
from pathlib import Path

import pytest
from litestar import Litestar

from app.asgi import create
from app.settings import Settings
from starpost.composition.blueprint import Blueprint

ROOT = Path.cwd()

ANONYMOUS = re.compile(r"/health/(live|ready)|/metrics|/schema(/.*)?|/auth/backchannel-logout|/|/console(/.*)?")
"""Paths that the contract gives to callers without a token, and static pages, which hold nobody's data."""


@pytest.fixture(scope="module")
def app() -> Litestar:
    return create(Settings.from_strings({"ACTIONS_FILE_PATH": str(ROOT / "actions.json")}))


@pytest.fixture(scope="module")
def blueprint(app: Litestar) -> Blueprint:
    blueprint: Blueprint = app.state.blueprint
    return blueprint


def routes_for(blueprint: Blueprint, roles: frozenset[str]) -> set[tuple[str, str]]:
    return {route for route, rule in blueprint.table.http.items() if rule.allows(roles)}


def test_users_without_roles_may_do_what_everybody_may(blueprint: Blueprint) -> None:
    file = json.loads((ROOT / "actions.json").read_bytes())
    everybodys = {int(number) for number, rule in file["ws"].items() if rule == "authenticated"}

    assert blueprint.table.packets_for(frozenset()) == everybodys
    assert routes_for(blueprint, frozenset()) == {
        (path, method)
        for path, methods in file["http"].items()
        for method, rule in methods.items()
        if rule in ("public", "authenticated")
    }


def test_a_role_of_nearly_the_same_name_is_none(blueprint: Blueprint) -> None:
    roles = json.loads((ROOT / "actions.json").read_bytes())["roles"]
    nearly = {name for role in roles for name in (role.upper(), f"{role} ", role[:-1], f"realm-{role}")} - set(roles)
    nearly |= {"public", "authenticated"}

    for name in nearly:
        assert blueprint.table.packets_for(frozenset({name})) == blueprint.table.packets_for(frozenset())
        assert routes_for(blueprint, frozenset({name})) == routes_for(blueprint, frozenset())


def test_the_realm_has_every_role_of_the_table() -> None:
    realm = json.loads((ROOT / "docker/keycloak/realm.json").read_bytes())["roles"]["realm"]

    assert set(json.loads((ROOT / "actions.json").read_bytes())["roles"]) <= {role["name"] for role in realm}


def test_only_what_the_contract_names_is_public(blueprint: Blueprint) -> None:
    public = {template for (template, _), rule in blueprint.table.http.items() if rule.is_public}

    assert all(ANONYMOUS.fullmatch(template) for template in public)


def test_system_packets_need_no_rule(blueprint: Blueprint) -> None:
    assert all(number > 0 for number in blueprint.table.ws)
