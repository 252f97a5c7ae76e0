"""Who may do what, as section 5 of the wire contract says, for every packet, route and kind of user.

The roles of each user come out of a token of the realm file, composites expanded; the answers come from the table that
the application starts with.
"""

import re
from pathlib import Path

import pytest
from litestar import Litestar

from app.asgi import create
from app.settings import Settings
from starpost.composition.blueprint import Blueprint

ROOT = Path.cwd()

READER = frozenset({"author-reader", "default-roles-starpost", "offline_access"})
EDITOR = READER | {"author-editor"}
ADMIN = EDITOR | {"admin"}
USERS = {
    "alice": ADMIN,
    "carol": EDITOR,
    "bob": READER,
    "erin": READER,  # the same right by a role of the client
    "mallory": frozenset({"default-roles-starpost", "offline_access"}),
    "no roles at all": frozenset[str](),
    "roles of other names": frozenset({"Admin", "author", "author-reader ", "realm-admin", "public", "authenticated"}),
}

PACKETS = {
    "GET_AUTHORS": "author-reader",
    "CREATE_AUTHOR": "author-editor",
    "GET_AUTHOR": "author-reader",
    "UPDATE_AUTHOR": "author-editor",
    "DELETE_AUTHOR": "admin",
    "GET_BOOKS": "author-reader",
    "CREATE_BOOK": "author-editor",
}
ROUTES = {
    ("/authors", "GET"): "author-reader",
    ("/authors", "POST"): "author-editor",
    ("/authors/{author_id}", "GET"): "author-reader",
    ("/authors/{author_id}", "PATCH"): "author-editor",
    ("/authors/{author_id}", "DELETE"): "admin",
    ("/authors/{author_id}/books", "GET"): "author-reader",
    ("/authors/{author_id}/books", "POST"): "author-editor",
}
ANONYMOUS = re.compile(r"/health/(live|ready)|/metrics|/schema(/.*)?|/auth/backchannel-logout|/|/console(/.*)?")
"""What the contract lets callers without a token have, and static pages, which hold nobody's data."""


@pytest.fixture(scope="module")
def app() -> Litestar:
    return create(Settings.from_strings({"ACTIONS_FILE_PATH": str(ROOT / "actions.json")}))


@pytest.fixture(scope="module")
def blueprint(app: Litestar) -> Blueprint:
    blueprint: Blueprint = app.state.blueprint
    return blueprint


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("name", PACKETS)
def test_packets(blueprint: Blueprint, name: str, user: str) -> None:
    numbers = {route.name: number for number, route in blueprint.registry.items()}
    roles = USERS[user]

    assert (numbers[name] in blueprint.table.packets_for(roles)) is (PACKETS[name] in roles)


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize(("template", "method"), ROUTES)
def test_routes(blueprint: Blueprint, template: str, method: str, user: str) -> None:
    rule = blueprint.table.http_rule(template, method)
    roles = USERS[user]

    assert rule is not None
    assert rule.allows(roles) is (ROUTES[template, method] in roles)


def test_the_matrix_above_is_of_packets_that_there_are(blueprint: Blueprint) -> None:
    names = {
        route.name
        for route in blueprint.registry.values()
        if route.declaration.handler.__module__.startswith("app.domains.authors.")
    }

    # Packets that are added to the example later have tests of their own.
    assert names >= PACKETS.keys()


def test_only_what_the_contract_names_is_public(blueprint: Blueprint) -> None:
    public = {template for (template, _), rule in blueprint.table.http.items() if rule.is_public}

    assert all(ANONYMOUS.fullmatch(template) for template in public)


def test_system_packets_need_no_rule(blueprint: Blueprint) -> None:
    assert all(number > 0 for number in blueprint.table.ws)
