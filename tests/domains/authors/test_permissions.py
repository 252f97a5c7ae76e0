"""Permissions of authors, for every packet, route and kind of user."""

from pathlib import Path

import pytest

from app.asgi import create
from app.pkg_ids import PkgID
from app.settings import Settings
from starpost.rbac import ActionTable

READER = frozenset({"author-reader", "offline_access"})
EDITOR = READER | {"author-editor"}
ADMIN = EDITOR | {"admin"}
USERS = {"reader": READER, "editor": EDITOR, "admin": ADMIN, "nobody": frozenset[str]()}
PACKETS = {
    PkgID.GET_AUTHORS: "author-reader",
    PkgID.CREATE_AUTHOR: "author-editor",
    PkgID.GET_AUTHOR: "author-reader",
    PkgID.UPDATE_AUTHOR: "author-editor",
    PkgID.DELETE_AUTHOR: "admin",
    PkgID.GET_BOOKS: "author-reader",
    PkgID.CREATE_BOOK: "author-editor",
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


@pytest.fixture(scope="module")
def table() -> ActionTable:
    settings = Settings.from_strings({"ACTIONS_FILE_PATH": str(Path.cwd() / "actions.json")})
    table: ActionTable = create(settings).state.blueprint.table
    return table


@pytest.mark.parametrize("user", USERS)
def test_packets(table: ActionTable, user: str) -> None:
    allowed = table.packets_for(USERS[user])

    assert {number for number in PACKETS if number in allowed} == {
        number for number, role in PACKETS.items() if role in USERS[user]
    }


@pytest.mark.parametrize("user", USERS)
def test_routes(table: ActionTable, user: str) -> None:
    rules = {route: table.http_rule(*route) for route in ROUTES}

    assert {route for route, rule in rules.items() if rule is not None and rule.allows(USERS[user])} == {
        route for route, role in ROUTES.items() if role in USERS[user]
    }
