"""The administration calls that the application makes, by python-keycloak, and who may make them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from keycloak import KeycloakAdmin, KeycloakDeleteError, KeycloakGetError, KeycloakPostError, KeycloakPutError
from starpost.testing import plain_http
from starpost_dev.testing.realm import CLIENT, REALM, IdentityServer

NewUser = Callable[..., str]

ALICE = "5f0a11ce-0000-4000-8000-000000000001"
PEOPLE = {"alice", "bob", "carol", "dave", "erin", "mallory", "realm-admin", "realm-operator"}


# ---- finding users --------------------------------------------------------------------------------------------------


def test_all_users(admin: KeycloakAdmin) -> None:
    names = [user["username"] for user in admin.get_users({})]

    assert set(names) >= PEOPLE
    assert not any(name.startswith("service-account-") for name in names)
    assert admin.users_count() == len(names)


def test_paging(admin: KeycloakAdmin) -> None:
    names = [user["username"] for user in admin.get_users({})]

    pages = [admin.get_users({"first": first, "max": 3}) for first in range(0, len(names) + 3, 3)]

    assert pages[-1] == []
    assert [user["username"] for page in pages for user in page] == names


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"username": "alice", "exact": True}, {"alice"}),
        ({"username": "ali", "exact": True}, set()),
        ({"username": "LIC"}, {"alice"}),
        ({"username": "service-account-starpost-service", "exact": True}, {"service-account-starpost-service"}),
        ({"username": "service-account-st"}, {"service-account-starpost-service"}),
        ({"search": "service-account-st"}, set()),
        ({"username": "alice*", "exact": True}, set()),
        ({"username": "%", "exact": True}, set()),
        ({"username": "ALICE", "exact": True}, {"alice"}),
        ({"email": "bob@example.org"}, {"bob"}),
        ({"search": "carol@"}, {"carol"}),
        ({"firstName": "Erin"}, {"erin"}),
        ({"lastName": "roleless"}, {"mallory"}),
        ({"enabled": False}, {"dave"}),
        ({"username": "no-such-user"}, set()),
    ],
)
def test_finding_users(admin: KeycloakAdmin, query: dict[str, Any], expected: set[str]) -> None:
    # `true` and `false` as JSON has them: the client library would send Python's words.
    asked = {name: str(value).lower() if isinstance(value, bool) else value for name, value in query.items()}

    assert {user["username"] for user in admin.get_users(asked)} == expected
    assert admin.users_count(asked) == len(expected)


def test_one_user(admin: KeycloakAdmin) -> None:
    assert admin.get_user_id("alice") == ALICE
    assert admin.get_user_id("no-such-user") is None
    user = admin.get_user(ALICE)
    expected = {
        "id": ALICE,
        "username": "alice",
        "email": "alice@example.org",
        "emailVerified": True,
        "firstName": "Alice",
        "lastName": "Admin",
        "enabled": True,
        "requiredActions": [],
    }
    assert {name: user[name] for name in expected} == expected
    assert isinstance(user["createdTimestamp"], int)
    assert not any("credential" in name and user[name] for name in user)


def test_unknown_user(admin: KeycloakAdmin) -> None:
    nobody = str(uuid.uuid4())
    for refused in (
        lambda: admin.get_user(nobody),
        lambda: admin.update_user(nobody, {}),
        lambda: admin.delete_user(nobody),
        lambda: admin.get_realm_roles_of_user(nobody),
        lambda: admin.user_logout(nobody),
    ):
        with pytest.raises((KeycloakGetError, KeycloakPutError, KeycloakDeleteError, KeycloakPostError)) as error:
            refused()
        assert error.value.response_code == 404
        assert b"User not found" in (error.value.response_body or b"")


# ---- changing users -------------------------------------------------------------------------------------------------


def test_create_user(server: IdentityServer, admin: KeycloakAdmin) -> None:
    name = f"Mixed-{uuid.uuid4().hex[:8]}"

    user_id = admin.create_user(
        {"username": name, "email": f"{name}@Example.org", "firstName": "A", "lastName": "B", "enabled": True}
    )

    user = admin.get_user(user_id)
    assert user["username"] == name.lower()
    assert user["email"] == f"{name}@Example.org".lower()
    assert user["emailVerified"] is False
    assert [role["name"] for role in admin.get_realm_roles_of_user(user_id)] == ["default-roles-starpost"]
    assert server.sign_in(name, password="").status_code == 400
    admin.delete_user(user_id)


@pytest.mark.parametrize(
    ("members", "status", "message"),
    [
        ({"username": "alice"}, 409, "User exists with same username"),
        ({"username": "ALICE"}, 409, "User exists with same username"),
        ({"username": "another", "email": "alice@example.org"}, 409, "User exists with same email"),
        ({}, 400, "User name is missing"),
        ({"username": "another", "email": "no-address"}, 400, "error-invalid-email"),
        ({"username": "another", "magic": 1}, 400, "Unrecognized field"),
    ],
)
def test_refused_user(admin: KeycloakAdmin, members: dict[str, Any], status: int, message: str) -> None:
    with pytest.raises(KeycloakPostError) as error:
        admin.create_user(members, exist_ok=False)

    assert error.value.response_code == status
    assert message in (error.value.response_body or b"").decode()
    assert admin.get_user_id("another") is None


def test_update_user(server: IdentityServer, admin: KeycloakAdmin, new_user: NewUser) -> None:
    name = new_user()
    user_id = str(admin.get_user_id(name))

    admin.update_user(user_id, {"firstName": "Changed"})

    user = admin.get_user(user_id)
    assert user["firstName"] == "Changed"
    assert user["lastName"] == "User"
    assert server.sign_in(name, password="secret").status_code == 200


def test_a_user_sent_back_as_it_came(admin: KeycloakAdmin, new_user: NewUser) -> None:
    user_id = str(admin.get_user_id(new_user()))
    user = admin.get_user(user_id)

    admin.update_user(user_id, user)

    assert admin.get_user(user_id) == user


def test_a_disabled_user_gets_no_tokens(server: IdentityServer, admin: KeycloakAdmin, new_user: NewUser) -> None:
    name = new_user()
    user_id = str(admin.get_user_id(name))
    tokens = server.tokens(name, password="secret")

    admin.disable_user(user_id)

    assert server.sign_in(name, password="secret").json()["error_description"] == "Account disabled"
    assert server.refresh(tokens["refresh_token"]).json()["error_description"] == "User disabled"
    admin.enable_user(user_id)
    assert server.sign_in(name, password="secret").status_code == 200


def test_a_deleted_user_is_gone(server: IdentityServer, admin: KeycloakAdmin, new_user: NewUser) -> None:
    name = new_user()
    tokens = server.tokens(name, password="secret")

    admin.delete_user(str(admin.get_user_id(name)))

    assert admin.get_user_id(name) is None
    assert server.sign_in(name, password="secret").status_code == 400
    assert server.refresh(tokens["refresh_token"]).json()["error_description"] == "Session not active"
    assert server.get("userinfo", token=tokens["access_token"]).status_code == 401


def test_set_password(server: IdentityServer, admin: KeycloakAdmin, new_user: NewUser) -> None:
    name = new_user()
    user_id = str(admin.get_user_id(name))

    admin.set_user_password(user_id, "pässword &=%", temporary=False)

    assert server.sign_in(name, password="secret").status_code == 400
    assert server.sign_in(name, password="pässword &=%").status_code == 200


def test_a_temporary_password_must_be_changed_first(
    server: IdentityServer, admin: KeycloakAdmin, new_user: NewUser
) -> None:
    name = new_user()
    user_id = str(admin.get_user_id(name))

    admin.set_user_password(user_id, "for-now", temporary=True)

    assert server.sign_in(name, password="for-now").json()["error_description"] == "Account is not fully set up"
    assert admin.get_user(user_id)["requiredActions"] == ["UPDATE_PASSWORD"]
    admin.set_user_password(user_id, "for-good", temporary=False)
    assert server.sign_in(name, password="for-good").status_code == 200


def test_no_password(admin: KeycloakAdmin, new_user: NewUser) -> None:
    with pytest.raises(KeycloakPutError) as error:
        admin.set_user_password(str(admin.get_user_id(new_user())), "", temporary=False)

    assert error.value.response_code == 400


# ---- roles ----------------------------------------------------------------------------------------------------------


def test_realm_roles(admin: KeycloakAdmin) -> None:
    roles = {role["name"]: role for role in admin.get_realm_roles()}

    assert set(roles) >= {"admin", "author-editor", "author-reader", "default-roles-starpost"}
    editor = admin.get_realm_role("author-editor")
    assert editor["id"] == roles["author-editor"]["id"]
    assert editor["composite"] is True
    assert editor["clientRole"] is False
    assert roles["author-reader"]["composite"] is False
    brought = admin.get_composite_realm_roles_of_role("author-editor")
    assert [role["name"] for role in brought] == ["author-reader"]


def test_members_of_a_role(admin: KeycloakAdmin) -> None:
    assert {user["username"] for user in admin.get_realm_role_members("author-editor")} == {"carol"}


def test_unknown_role(admin: KeycloakAdmin) -> None:
    with pytest.raises(KeycloakGetError) as error:
        admin.get_realm_role("no-such-role")

    assert error.value.response_code == 404


def test_a_role_is_given_and_taken(
    server: IdentityServer, admin: KeycloakAdmin, new_user: NewUser, verify: Callable[..., dict[str, Any]]
) -> None:
    name = new_user()
    user_id = str(admin.get_user_id(name))
    editor = admin.get_realm_role("author-editor")

    admin.assign_realm_roles(user_id, [editor])

    direct = {role["name"] for role in admin.get_realm_roles_of_user(user_id)}
    assert direct == {"default-roles-starpost", "author-editor"}
    effective = {role["name"] for role in admin.get_composite_realm_roles_of_user(user_id)}
    assert effective == direct | {"author-reader", "offline_access", "uma_authorization"}
    available = {role["name"] for role in admin.get_available_realm_roles_of_user(user_id)}
    assert "admin" in available
    assert "author-editor" not in available
    tokens = server.tokens(name, password="secret")
    assert {"author-editor", "author-reader"} <= set(verify(tokens["access_token"])["realm_access"]["roles"])

    admin.delete_realm_roles_of_user(user_id, [editor])

    # Gone with the next token, be it by refresh.
    fresh = server.refresh(tokens["refresh_token"]).json()
    assert not {"author-editor", "author-reader"} & set(verify(fresh["access_token"])["realm_access"]["roles"])
    assert {role["name"] for role in admin.get_realm_roles_of_user(user_id)} == {"default-roles-starpost"}


@pytest.mark.parametrize("role", [{"name": "no-such-role", "id": "x"}, {"name": "author-reader"}])
def test_a_role_needs_its_name_and_id(admin: KeycloakAdmin, new_user: NewUser, role: dict[str, str]) -> None:
    user_id = str(admin.get_user_id(new_user()))

    with pytest.raises(KeycloakPostError) as error:
        admin.assign_realm_roles(user_id, [role])

    assert error.value.response_code == 404
    assert b"Role not found" in (error.value.response_body or b"")


def test_a_client_role_is_given_and_taken(server: IdentityServer, admin: KeycloakAdmin, new_user: NewUser) -> None:
    user_id = str(admin.get_user_id(new_user()))
    operator = server.admin("realm-operator")
    client = str(operator.get_client_id(CLIENT))
    role = operator.get_client_role(client, "author-reader")
    assert role["clientRole"] is True

    admin.assign_client_role(user_id, client, [role])

    assert [held["name"] for held in admin.get_client_roles_of_user(user_id, client)] == ["author-reader"]
    mappings = admin.get_all_roles_of_user(user_id)
    assert [held["name"] for held in mappings["clientMappings"][CLIENT]["mappings"]] == ["author-reader"]
    assert [held["name"] for held in mappings["realmMappings"]] == ["default-roles-starpost"]

    admin.delete_client_roles_of_user(user_id, client, [role])

    assert admin.get_client_roles_of_user(user_id, client) == []


def test_create_and_delete_a_role(server: IdentityServer, admin: KeycloakAdmin, new_user: NewUser) -> None:
    operator = server.admin("realm-operator")
    name = f"role-{uuid.uuid4().hex[:8]}"
    operator.create_realm_role({"name": name, "description": "d"})
    with pytest.raises(KeycloakPostError) as error:
        operator.create_realm_role({"name": name})
    assert error.value.response_code == 409
    user_id = str(admin.get_user_id(new_user()))
    admin.assign_realm_roles(user_id, [admin.get_realm_role(name)])

    operator.delete_realm_role(name)

    assert name not in {role["name"] for role in admin.get_realm_roles_of_user(user_id)}


# ---- sessions -------------------------------------------------------------------------------------------------------


def test_sessions_of_a_user(server: IdentityServer, admin: KeycloakAdmin, new_user: NewUser) -> None:
    name = new_user()
    user_id = str(admin.get_user_id(name))
    tokens = server.tokens(name, password="secret")

    (session,) = admin.get_sessions(user_id)

    assert session["id"] == tokens["session_state"]
    assert session["userId"] == user_id
    assert session["username"] == name
    assert list(session["clients"].values()) == [CLIENT]
    assert session["start"] <= session["lastAccess"]


# ---- who may --------------------------------------------------------------------------------------------------------


def call(server: IdentityServer, token: str | None, method: str, path: str) -> httpx.Response:
    """A call of the administration API."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return plain_http.request(method, f"{server.base_url}/admin/realms/{REALM}{path}", headers=headers)


@pytest.mark.parametrize("kind", [None, "garbage", "id_token", "refresh_token"])
def test_without_a_good_token(server: IdentityServer, kind: str | None) -> None:
    token = server.tokens("realm-admin")[kind] if kind in ("id_token", "refresh_token") else kind

    answer = call(server, token, "GET", "/users")

    assert answer.status_code == 401
    assert answer.json() == {"error": "HTTP 401 Unauthorized"}


@pytest.mark.parametrize(
    ("user", "method", "path", "status"),
    [
        ("mallory", "GET", "/users", 403),
        ("alice", "GET", "/users", 403),
        ("alice", "DELETE", f"/users/{ALICE}", 403),
        ("alice", "POST", f"/users/{ALICE}/logout", 403),
        ("realm-operator", "GET", "/users", 403),
        ("realm-operator", "GET", f"/users/{ALICE}", 403),
        ("realm-operator", "GET", "/clients", 200),
        ("realm-operator", "GET", "/components", 200),
        ("realm-admin", "GET", "/users", 200),
        ("realm-admin", "GET", "/roles", 200),
        ("realm-admin", "GET", "/clients", 403),
        ("realm-admin", "DELETE", "/roles/author-reader", 403),
        ("realm-admin", "GET", "/keys", 200),
    ],
)
def test_who_may(server: IdentityServer, user: str, method: str, path: str, status: int) -> None:
    answer = call(server, server.token(user), method, path)

    assert answer.status_code == status
    if status == 403:
        assert answer.json() == {"error": "HTTP 403 Forbidden"}


def test_a_token_of_an_ended_session_opens_nothing(server: IdentityServer) -> None:
    tokens = server.tokens("realm-admin")
    server.post("logout", client_id=CLIENT, refresh_token=tokens["refresh_token"])

    assert call(server, tokens["access_token"], "GET", "/users").status_code == 401


def test_another_realm(server: IdentityServer) -> None:
    answer = plain_http.get(
        f"{server.base_url}/admin/realms/no-such-realm/users",
        headers={"Authorization": f"Bearer {server.token('realm-admin')}"},
    )

    assert answer.status_code == 404


def test_clients(server: IdentityServer) -> None:
    operator = server.admin("realm-operator")
    uuid_ = str(operator.get_client_id(CLIENT))

    client = operator.get_client(uuid_)

    assert client["publicClient"] is True
    assert client["standardFlowEnabled"] is True
    assert client["attributes"]["pkce.code.challenge.method"] == "S256"
    assert sorted(client["redirectUris"]) == ["http://127.0.0.1/*", "http://localhost/*"]
    assert {"starpost", "starpost-service", "other-app", "admin-cli"} <= {
        found["clientId"] for found in operator.get_clients()
    }
    assert operator.get_client_id("no-such-client") is None
