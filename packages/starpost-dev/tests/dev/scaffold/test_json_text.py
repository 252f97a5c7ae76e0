import json

import pytest

from starpost_dev.scaffold.json_text import JSONText

TEXT = """{
  "roles": ["a", "b"],
  "ws": {
    "1": "a",
    "2": {"any": ["a", "b"]}
  },
  "none": {},
  "topics": {"x": "a"}
}
"""


@pytest.mark.parametrize(
    ("path", "gone"),
    [
        (("ws", "1"), '    "1": "a",\n'),
        (("ws", "2"), ',\n    "2": {"any": ["a", "b"]}'),
        (("roles", 0), '"a", '),
        (("roles", 1), ', "b"'),
        (("topics", "x"), '"x": "a"'),
        (("topics",), ',\n  "topics": {"x": "a"}'),
        (("ws", "2", "any", 0), '"a", '),
    ],
)
def test_removing_leaves_everything_else_as_it_is(path: tuple[str | int, ...], gone: str) -> None:
    text = JSONText(TEXT)
    text.remove(path)
    before, _, after = TEXT.rpartition(gone) if path[0] == "ws" else TEXT.partition(gone)
    assert text.text == before + after
    assert not text.has(path) or isinstance(path[-1], int)


@pytest.mark.parametrize("first", [True, False])
def test_adding_takes_the_form_of_the_neighbours(first: bool) -> None:
    text = JSONText(TEXT)
    text.add(("ws",), "3", ["ä"], first=first)
    text.add(("roles",), None, "c", first=first)
    text.add(("topics",), "y", "b", first=first)
    text.add(("none",), "z", {"GET": "a"}, first=first)
    lines = text.text.splitlines()
    assert lines[1] == ('  "roles": ["c", "a", "b"],' if first else '  "roles": ["a", "b", "c"],')
    assert '    "3": ["ä"]' + ("," if first else "") in lines
    assert ('  "topics": {"y": "b", "x": "a"}' if first else '  "topics": {"x": "a", "y": "b"}') in lines
    assert '  "none": {\n    "z": {"GET": "a"}\n  },' in text.text
    assert text.value == json.loads(TEXT) | {
        "ws": {"1": "a", "2": {"any": ["a", "b"]}, "3": ["ä"]},
        "roles": ["c", "a", "b"] if first else ["a", "b", "c"],
        "topics": {"x": "a", "y": "b"},
        "none": {"z": {"GET": "a"}},
    }


def test_adding_and_removing_is_nothing() -> None:
    text = JSONText(TEXT)
    for first in (True, False):
        text.add(("ws",), "3", "b", first=first)
        text.remove(("ws", "3"))
    assert text.text == TEXT
    text.replace(("ws", "1"), "b")
    assert text.text == TEXT.replace('"1": "a"', '"1": "b"')


def test_what_is_not_there() -> None:
    text = JSONText(TEXT)
    for path in (("x",), ("ws", "9"), ("roles", 2), ("roles", 0, "x")):
        assert not text.has(path)
        with pytest.raises(KeyError):
            text.remove(path)
    with pytest.raises(ValueError, match="Expecting"):
        JSONText("{")
