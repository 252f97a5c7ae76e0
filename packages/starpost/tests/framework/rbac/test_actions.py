import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from starpost.rbac.actions import ActionsError, ActionTable
from starpost.rbac.rules import PUBLIC


def parse(document: Any) -> ActionTable:
    return ActionTable.parse(document if isinstance(document, bytes) else json.dumps(document).encode())


def faults(document: Any) -> dict[str, str]:
    with pytest.raises(ActionsError) as caught:
        parse(document)
    return {fault.path: fault.msg for fault in caught.value.faults}


TABLE = parse(
    {
        "$schema": "./actions.schema.json",
        "roles": ["reader", "editor", "admin"],
        "ws": {"1": "reader", "2": ["reader", "editor"], "3": {"any": ["editor", "admin"]}, "4": "authenticated"},
        "http": {
            "/authors": {"GET": "reader", "POST": "editor"},
            "/authors/{author_id}": {"DELETE": "admin"},
            "/health/live": {"GET": "public"},
            "/": {"GET": "authenticated", "OPTIONS": "admin"},
        },
        "topics": {"authors": "reader", "authors.{author_id}": {"any": ["reader"]}},
    }
)


@pytest.mark.parametrize(
    ("roles", "packets"),
    [
        ((), {4}),
        (("reader",), {1, 4}),
        (("reader", "editor"), {1, 2, 3, 4}),
        (("editor",), {3, 4}),
        (("admin", "offline_access"), {3, 4}),
        (("Reader",), {4}),
    ],
)
def test_the_packets_of_a_set_of_roles(roles: tuple[str, ...], packets: set[int]) -> None:
    assert TABLE.packets_for(frozenset(roles)) == packets


def test_the_packets_of_equal_role_sets_are_computed_once() -> None:
    assert TABLE.packets_for(frozenset({"reader", "x"})) is TABLE.packets_for(frozenset({"x", "reader"}))


def test_routes_are_found_by_template_and_method() -> None:
    rule = TABLE.http_rule("/authors/{author_id}", "DELETE")

    assert rule is not None
    assert rule.allows(frozenset({"admin"}))
    assert not rule.allows(frozenset({"editor"}))


@pytest.mark.parametrize(
    ("template", "method"),
    [("/authors", "DELETE"), ("/authors/1", "DELETE"), ("/nowhere", "GET"), ("/nowhere", "OPTIONS")],
)
def test_no_rule_is_no_rule(template: str, method: str) -> None:
    assert TABLE.http_rule(template, method) is None


def test_options_follow_the_paths_other_rules() -> None:
    options = TABLE.http_rule("/authors", "OPTIONS")

    assert options is not None
    assert options.allows(frozenset({"reader"}))
    assert options.allows(frozenset({"editor"}))
    assert not options.allows(frozenset({"admin"}))
    assert TABLE.http_rule("/health/live", "OPTIONS") is PUBLIC
    assert str(TABLE.http_rule("/", "OPTIONS")) == "admin", "one that the table names is the table's"


def test_topics_are_found_by_their_declared_name() -> None:
    rule = TABLE.topic_rule("authors.{author_id}")

    assert rule is not None
    assert rule.allows(frozenset({"reader"}))
    assert TABLE.topic_rule("authors.7") is None
    assert TABLE.topic_rule("books") is None


def test_only_roles_are_required() -> None:
    table = parse({"roles": ["a"]})

    assert table.packets_for(frozenset("a")) == frozenset()


def test_every_fault_is_reported_with_its_path() -> None:
    document = b"""{
        "roles": ["a", "a", "public", 7, ""],
        "roles2": [],
        "ws": {"1": "a", "1": "a", "0": "a", "-2": "a", "01": "a", "x": "a", "2": [], "3": {"any": []},
               "4": {"all": ["a"]}, "5": "b", "6": ["a", "b", "a"], "7": "public", "8": null, "9": ["authenticated"],
               "10": {"any": ["a"], "not": 1}, "11": "", "12": {"any": "a"}},
        "http": {"authors": {"GET": "a"}, "/x/{id:int}": {"GET": "a"}, "/y/": {"GET": "a"}, "/z": {"get": "a"},
                 "/w": {}, "/v": "a", "/u/{a}/{a}": {"GET": ["public"]}, "/t": {"GET": "a", "GET": "public"}},
        "topics": {"a b": "a", "t": "public", "u": 1.5, "": "a"}
    }"""

    assert faults(document) == {
        "$.roles2": "unknown member; known are $schema, roles, ws, http, topics",
        "$.roles[1]": "'a' is given more than once",
        "$.roles[2]": "'public' is a rule and cannot be a role",
        "$.roles[3]": "must be a role, a string that is not empty",
        "$.roles[4]": "must be a role, a string that is not empty",
        '$.ws["1"]': "is given more than once",
        '$.ws["0"]': "the key must be a packet number: positive, decimal, without leading zeros",
        '$.ws["-2"]': "the key must be a packet number: positive, decimal, without leading zeros",
        '$.ws["01"]': "the key must be a packet number: positive, decimal, without leading zeros",
        "$.ws.x": "the key must be a packet number: positive, decimal, without leading zeros",
        '$.ws["2"]': "is empty; leave the rule out to let nobody through",
        '$.ws["3"].any': "is empty; leave the rule out to let nobody through",
        '$.ws["4"].all': 'unknown member; the only one is "any"',
        '$.ws["4"]': 'must have the member "any"',
        '$.ws["5"]': "undeclared role 'b'; $.roles declares the roles",
        '$.ws["6"][1]': "undeclared role 'b'; $.roles declares the roles",
        '$.ws["6"][2]': "'a' is given more than once",
        '$.ws["7"]': '"public" is for http only: a socket belongs to a user',
        '$.ws["8"]': 'must be a role, a list of roles, {"any": [...]}, "authenticated" or "public"',
        '$.ws["9"][0]': "'authenticated' stands alone, not in a list",
        '$.ws["10"].not': 'unknown member; the only one is "any"',
        '$.ws["11"]': "undeclared role ''; $.roles declares the roles",
        '$.ws["12"].any': "must be a list of roles",
        "$.http.authors": "the key must be a path as in the OpenAPI document, such as /authors/{author_id}",
        '$.http["/x/{id:int}"]': "the key must be a path as in the OpenAPI document, such as /authors/{author_id}; "
        "parameters stand without their types",
        '$.http["/y/"]': "the key must be a path as in the OpenAPI document, such as /authors/{author_id}",
        '$.http["/z"].get': "unknown method; known are GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
        '$.http["/w"]': "names no method",
        '$.http["/v"]': 'must be an object of methods, such as {"GET": "authenticated"}',
        '$.http["/u/{a}/{a}"]': "names a parameter twice",
        '$.http["/u/{a}/{a}"].GET[0]': "'public' stands alone, not in a list",
        '$.http["/t"].GET': "is given more than once",
        '$.topics["a b"]': "the key must be a topic's name: words joined by dots, {name} for a parameter",
        "$.topics.t": '"public" is for http only: a socket belongs to a user',
        "$.topics.u": 'must be a role, a list of roles, {"any": [...]}, "authenticated" or "public"',
        '$.topics[""]': "the key must be a topic's name: words joined by dots, {name} for a parameter",
    }


@pytest.mark.parametrize(
    "document",
    [
        {"roles": ["a"], "ws": {"1\n": "a"}},
        {"roles": ["a"], "ws": {"\u0661": "a"}},
        {"roles": ["a"], "ws": {"1" * 5000: "a"}},
        {"roles": ["a"], "http": {"/x\n": {"GET": "a"}}},
        {"roles": ["a"], "topics": {"t\n": "a"}},
    ],
)
def test_keys_fit_as_a_whole(document: Any) -> None:
    assert len(faults(document)) == 1


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut off"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"null", id="null"),
        pytest.param(b'{"roles": NaN}', id="NaN"),
        pytest.param(b"\xff\xfe\xff", id="not UTF-8"),
        pytest.param(b"[" * 200_000, id="nested"),
    ],
)
def test_what_is_no_object_is_one_fault(document: bytes) -> None:
    assert faults(document).keys() == {"$"}


@pytest.mark.parametrize("document", [{}, {"roles": {}}, {"roles": "a"}, {"roles": []}])
def test_roles_are_needed(document: Any) -> None:
    assert faults(document).keys() == {"$.roles"}


@pytest.mark.parametrize("section", ["ws", "http", "topics"])
@pytest.mark.parametrize("value", [None, [], "a", 1])
def test_sections_are_objects(section: str, value: Any) -> None:
    assert faults({"roles": ["a"], section: value}) == {f"$.{section}": "must be an object"}


def test_the_message_names_the_file_and_all_faults(tmp_path: Path) -> None:
    path = tmp_path / "actions.json"
    path.write_text('{"roles": ["a"], "ws": {"1": "b", "2": "c"}}')
    with pytest.raises(ActionsError) as caught:
        ActionTable.load(path)

    lines = str(caught.value).splitlines()
    assert str(path) in lines[0]
    assert [line.split(":")[0].strip() for line in lines[1:]] == ['$.ws["1"]', '$.ws["2"]']


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ActionsError, match="cannot be read"):
        ActionTable.load(tmp_path / "none.json")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["a", "public", "authenticated"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3) | st.sampled_from(["any", "GET", "1", "/x"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["roles", "ws", "http", "topics", "$schema", "x"]), json_values))
def test_any_document_is_a_table_or_a_list_of_faults(document: Any) -> None:
    try:
        table = parse(document)
    except ActionsError:
        return
    assert table.roles == frozenset(document["roles"])


@given(st.binary(max_size=100))
def test_any_bytes_are_refused(document: bytes) -> None:
    assert faults(document)


rules = st.one_of(
    st.just("authenticated"),
    st.sampled_from("abc"),
    st.lists(st.sampled_from("abc"), min_size=1, unique=True),
    st.fixed_dictionaries({"any": st.lists(st.sampled_from("abc"), min_size=1, unique=True)}),
)


def naive(rule: Any, roles: frozenset[str]) -> bool:
    """The table of the wire contract, read word by word."""
    if rule == "authenticated":
        return True
    if isinstance(rule, str):
        return rule in roles
    if isinstance(rule, list):
        return all(role in roles for role in rule)
    return any(role in roles for role in rule["any"])


@given(
    ws=st.dictionaries(st.integers(1, 10**6), rules, max_size=8),
    roles=st.frozensets(st.sampled_from(["a", "b", "c", "d"])),
)
def test_the_table_decides_as_the_contract_says(ws: dict[int, Any], roles: frozenset[str]) -> None:
    table = parse({"roles": ["a", "b", "c"], "ws": {str(pkg_id): rule for pkg_id, rule in ws.items()}})

    assert table.packets_for(roles) == {pkg_id for pkg_id, rule in ws.items() if naive(rule, roles)}
