"""The realm file: what is read of it, and what is said when it is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starpost_dev.realm.directory import RoleKey, directory_from_file
from starpost_dev.realm.realm_file import RealmFileError, read_realm_file
from tests.specimen import REALM_FILE


@pytest.fixture
def write(tmp_path: Path) -> Callable[[object], Path]:
    """Write a realm file."""

    def write_file(document: object) -> Path:
        path = tmp_path / "realm.json"
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return path

    return write_file


def test_the_specimen_s() -> None:
    directory = directory_from_file(read_realm_file(REALM_FILE, {}))

    alice = directory.user_named("alice")
    assert alice is not None
    assert directory.password_matches(alice, "alice")
    assert RoleKey("author-reader") in directory.effective_roles(alice.roles)
    client = directory.clients["starpost"]
    assert client.attributes["backchannel.logout.url"] == "http://127.0.0.1:8000/auth/backchannel-logout"


@pytest.mark.parametrize(
    ("written", "environ", "read"),
    [
        ("${HOST:localhost}", {}, "localhost"),
        ("${HOST:localhost}", {"HOST": "example.org"}, "example.org"),
        ("${URL:http://a:1/b}", {}, "http://a:1/b"),
        ("${HOST}", {}, "${HOST}"),
        ("a${A:1}b${B:2}c", {"B": "x"}, "a1bxc"),
        ("${EMPTY:}", {}, "${EMPTY:}"),
        ("${role_admin-x}", {}, "${role_admin-x}"),
    ],
)
def test_placeholders(write: Callable[[object], Path], written: str, environ: dict[str, str], read: str) -> None:
    path = write({"realm": "r", "clients": [{"clientId": "c", "attributes": {"key": written}}]})

    assert read_realm_file(path, environ).clients[0].attributes["key"] == read


def test_a_user_keeps_its_id_from_run_to_run(write: Callable[[object], Path]) -> None:
    file = read_realm_file(write({"realm": "r", "users": [{"username": "zoe"}]}))

    first, second = directory_from_file(file), directory_from_file(file)

    assert list(first.users) == list(second.users)
    zoe = first.user_named("zoe")
    assert zoe is not None
    assert not first.password_matches(zoe, "")


def test_a_service_account_that_the_file_does_not_mention(write: Callable[[object], Path]) -> None:
    document = {"realm": "r", "clients": [{"clientId": "c", "serviceAccountsEnabled": True}]}

    directory = directory_from_file(read_realm_file(write(document)))

    account = directory.service_account(directory.clients["c"])
    assert account is not None
    assert account.username == "service-account-c"
    assert account.roles == [RoleKey("default-roles-r")]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "is not JSON"),
        ({}, "missing required field `realm`"),
        ({"realm": 1}, "Expected `str`, got `int`"),
        ({"realm": "r", "accessTokenLifespan": "long"}, r"\$.accessTokenLifespan"),
        ({"realm": "r", "users": [{"username": "a", "clientRoles": []}]}, r"\$.users\[0\].clientRoles"),
    ],
)
def test_unreadable_file(write: Callable[[object], Path], document: object, message: str) -> None:
    with pytest.raises(RealmFileError, match=message) as error:
        read_realm_file(write(document))

    assert "realm.json" in str(error.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(RealmFileError, match="No such file"):
        read_realm_file(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"users": [{"username": "a", "realmRoles": ["x"]}]}, "user 'a': the realm has no role 'x'"),
        ({"users": [{"username": "a", "clientRoles": {"account": ["x"]}}]}, "client 'account' has no role 'x'"),
        ({"users": [{"username": "a"}, {"username": "A"}]}, "user 'A' is repeated"),
        ({"clients": [{"clientId": "c"}, {"clientId": "c"}]}, "client 'c' is repeated"),
        ({"roles": {"realm": [{"name": "a", "composites": {"realm": ["b"]}}]}}, "role 'a': the realm has no role 'b'"),
        ({"roles": {"client": {"c": [{"name": "a"}]}}}, "there is no client 'c'"),
    ],
)
def test_a_file_that_contradicts_itself(write: Callable[[object], Path], members: dict[str, Any], message: str) -> None:
    file = read_realm_file(write({"realm": "r", **members}))

    with pytest.raises(RealmFileError, match=message):
        directory_from_file(file)


def test_roles_that_bring_each_other(write: Callable[[object], Path]) -> None:
    roles = [{"name": name, "composites": {"realm": [other]}} for name, other in (("a", "b"), ("b", "a"))]
    directory = directory_from_file(read_realm_file(write({"realm": "r", "roles": {"realm": roles}})))

    assert directory.effective_roles([RoleKey("a")]) == [RoleKey("a"), RoleKey("b")]
