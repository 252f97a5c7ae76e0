from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from starpost_dev.commands.new_ws_handler import ask_for_packet
from starpost_dev.scaffold import Packet, ScaffoldError, parse_fields, parse_reply, parse_rule
from starpost_dev.scaffold.packet import KINDS, default_summary

ROLES = ["admin", "editor", "reader"]
OPTIONS: dict[str, str | None] = {
    "domain": "reviews",
    "packet": "GET_REVIEWS",
    "fields": None,
    "reply": None,
    "rule": "reader",
    "summary": None,
}


def test_what_a_command_line_leaves_out_has_its_default() -> None:
    packet = ask_for_packet(OPTIONS, ROLES)
    assert packet == Packet(
        domain="reviews", name="GET_REVIEWS", fields=(), reply=parse_reply("-"), rule="reader", summary="Get reviews."
    )
    assert (packet.function, packet.request_class, packet.reply_class) == (
        "get_reviews",
        "GetReviewsRequest",
        "GetReviewsReply",
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"packet": "get_reviews"}, "is no packet's name"),
        ({"packet": "GET__REVIEWS"}, "is no packet's name"),
        ({"packet": "G" * 61}, "is no packet's name"),
        ({"packet": "GET_REVIEWS\n"}, "is no packet's name"),
        ({"packet": "IMPORT"}, "which Python has already"),
        ({"packet": "PRINT"}, "which Python has already"),
        ({"domain": "Reviews"}, "is no domain's name"),
        ({"domain": "../x"}, "is no domain's name"),
        ({"domain": ""}, "is no domain's name"),
        ({"domain": "class"}, "is a word of Python"),
        ({"rule": "nobody"}, "there is no role 'nobody' in actions.json; there are: admin, editor, reader"),
        ({"rule": ""}, "there is no role ''"),
        ({"rule": "any:"}, "there is no role ''"),
        ({"rule": "admin,admin"}, "named twice"),
        ({"rule": "public"}, "for HTTP only"),
        ({"fields": "x"}, "is no member"),
        ({"fields": "X:int"}, "is no member"),
        ({"fields": "x:complex"}, "there is no type 'complex'; there are: int"),
        ({"fields": "class:int"}, "cannot be called 'class'"),
        ({"fields": "int:int"}, "cannot be called 'int'"),
        ({"fields": "a:int, a:str"}, "named twice"),
        ({"fields": "a:int=x"}, "is no default of this type"),
        ({"fields": "a:bool=1"}, "is no default of this type"),
        ({"fields": "a:date=2030-01-01"}, "is no default of this type"),
        ({"fields": "a:[int]=[1]"}, "the default of a list is []"),
        ({"fields": "a:int?=1"}, "null by default"),
        ({"reply": "a:int=1"}, "takes no default"),
        ({"reply": "[ ]"}, "at least one member"),
        ({"summary": 'It is "quoted"'}, "a summary is one line"),
        ({"summary": "two\nlines"}, "a summary is one line"),
        ({"summary": " "}, "a summary is one line"),
        ({"summary": "\\"}, "a summary is one line"),
    ],
)
def test_wrong_options(changes: dict[str, str | None], said: str) -> None:
    with pytest.raises(ScaffoldError) as refused:
        ask_for_packet(OPTIONS | changes, ROLES)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("text", "annotation", "default"),
    [
        ("a:int", "int", None),
        ("a : int = -5", "int", "-5"),
        ("a:float=1", "float", "1.0"),
        ("a:bool=True", "bool", "True"),
        ("a:str=word", "str", "'word'"),
        ("a:str=5", "str", "'5'"),
        ("a:line='x, y'", "Line", "'x, y'"),
        ("a:id?", "Identifier | None", "None"),
        ("a:[name]", "list[Name]", None),
        ("a:[uuid]=[]", "list[UUID]", "[]"),
        ("a:[date]?", "list[dt.date] | None", "None"),
        ('a:str="; import os; \'"', "str", '"; import os; \'"'),
    ],
)
def test_members(text: str, annotation: str, default: str | None) -> None:
    (member,) = parse_fields(text)
    assert (member.name, member.annotation, member.default) == ("a", annotation, default)
    assert member.is_required is (default is None)


def test_required_members_come_first() -> None:
    assert [member.name for member in parse_fields("a:int=1, b:int, c:int?, d:str,")] == ["b", "d", "a", "c"]


@pytest.mark.parametrize("word", KINDS)
def test_every_kind_has_a_sample_that_is_right(word: str) -> None:
    (member,) = parse_fields(f"a:{word}")
    (listed,) = parse_fields(f"a:[{word}]")
    assert listed.sample == [member.sample]
    assert listed.sample_code == f"[{member.sample_code}]"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("admin", "admin"),
        (" admin , reader ", ["admin", "reader"]),
        ("any:admin,reader", {"any": ["admin", "reader"]}),
        ("any:admin", {"any": ["admin"]}),
        ("authenticated", "authenticated"),
    ],
)
def test_rules(text: str, rule: Any) -> None:
    assert parse_rule(text, ROLES) == rule


def test_replies() -> None:
    assert parse_reply("") == parse_reply("-") == parse_reply(" - ")
    assert not parse_reply("id:int").is_list
    assert parse_reply("[id:int, tags:[str]]").is_list
    assert [member.annotation for member in parse_reply("[id:int, tags:[str]]").members] == ["int", "list[str]"]


@given(st.text() | st.text("ab:,=?[]'\" int"))
@example("a:str='")
@example("a:int=" + "(" * 10_000)
@example("a:int=" + "9" * 5000)
def test_any_text_is_taken_or_refused(text: str) -> None:
    parsers: list[Callable[[str], Any]] = [parse_fields, parse_reply, lambda text: parse_rule(text, ROLES)]
    for parse in parsers:
        with suppress(ScaffoldError):
            assert parse(text) is not None


def test_default_summary() -> None:
    assert default_summary("GET_BOOK_REVIEWS") == "Get book reviews."
