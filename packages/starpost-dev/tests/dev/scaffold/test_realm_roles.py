import json
from pathlib import Path
from typing import Any

from starpost_dev.layout import REALM_FILE
from starpost_dev.scaffold.realm_roles import add_roles, remove_roles

REALM: dict[str, Any] = {
    "roles": {
        "realm": [
            {"name": "reader"},
            {"name": "editor", "composite": True, "composites": {"realm": ["reader", "other"]}},
            {"name": "chief", "composite": True, "composites": {"realm": ["editor"]}},
            {"name": "only", "composite": True, "composites": {"realm": ["reader"]}},
            {"name": "other"},
        ],
        "client": {"app": [{"name": "reader"}], "more": [{"name": "reader"}, {"name": "x"}]},
    },
    "users": [
        {"username": "a", "realmRoles": ["base", "editor"]},
        {"username": "b", "realmRoles": ["reader"], "clientRoles": {"app": ["reader"]}},
        {"username": "c", "clientRoles": {"app": ["reader", "x"]}},
    ],
    "groups": [{"name": "g", "realmRoles": ["reader", "other"]}],
}


def test_who_had_a_role_keeps_what_it_brought_and_stays() -> None:
    realm = json.loads(remove_roles(json.dumps(REALM, indent=2), ["reader", "editor"]))
    assert realm == {
        "roles": {
            "realm": [
                {"name": "chief", "composite": True, "composites": {"realm": ["other"]}},
                {"name": "only"},
                {"name": "other"},
            ],
            "client": {"more": [{"name": "x"}]},
        },
        "users": [
            {"username": "a", "realmRoles": ["base", "other"]},
            {"username": "b"},
            {"username": "c", "clientRoles": {"app": ["x"]}},
        ],
        "groups": [{"name": "g", "realmRoles": ["other"]}],
    }


def test_roles_go_to_those_who_have_others_like_them() -> None:
    text = Path(REALM_FILE).read_text()
    added = add_roles(text, ("x-reader", "Reads"), ("x-editor", "Writes"))
    roles = {role["name"]: role for role in json.loads(added)["roles"]["realm"]}
    assert roles["x-editor"]["composites"] == {"realm": ["x-reader"]}
    assert "x-editor" in roles["admin"]["composites"]["realm"]
    given = {user["username"]: user.get("realmRoles", []) for user in json.loads(added)["users"]}
    assert {name for name, of in given.items() if "x-editor" in of} == {"carol"}
    assert {"bob"} <= {name for name, of in given.items() if "x-reader" in of}
    assert given["mallory"] == ["default-roles-starpost"]

    assert add_roles(added, ("x-reader", "Reads"), ("x-editor", "Writes")) == added
    assert remove_roles(added, ["x-reader", "x-editor"]) == text


def test_without_other_roles_the_users_that_are_named_for_it() -> None:
    names = [role["name"] for role in json.loads(Path(REALM_FILE).read_text())["roles"]["realm"] if "-" in role["name"]]
    bare = remove_roles(Path(REALM_FILE).read_text(), names)
    added = add_roles(bare, ("x-reader", "Reads"), ("x-editor", "Writes"))
    given = {user["username"]: user.get("realmRoles", []) for user in json.loads(added)["users"]}
    assert {name: of[-1] for name, of in given.items() if {"x-reader", "x-editor"} & set(of)} == {
        "bob": "x-reader",
        "carol": "x-editor",
    }
    admin = next(role for role in json.loads(added)["roles"]["realm"] if role["name"] == "admin")
    assert (admin["composite"], admin["composites"]) == (True, {"realm": ["x-editor"]})
