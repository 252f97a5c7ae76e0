import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from starpost.rbac.actions import ActionsError, ActionTable
from starpost.rbac.schema import actions_schema
from tests.framework.rbac.test_actions import json_values, rules
from tests.specimen import ACTIONS_FILE

VALIDATOR = jsonschema.Draft202012Validator(actions_schema())

UNSAYABLE = ("undeclared role", "names a parameter twice", "is given more than once")
"""Faults that only the loader can see. (``uniqueItems`` sees a role given twice, but not a member.)"""


def loader_faults(document: Any) -> list[str]:
    try:
        ActionTable.parse(json.dumps(document).encode())
    except ActionsError as error:
        return [fault.msg for fault in error.faults]
    return []


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(actions_schema())
    VALIDATOR.validate(json.loads(ACTIONS_FILE.read_bytes()))


@given(
    st.fixed_dictionaries(
        {"roles": st.just(["a", "b", "c"])},
        optional={
            "ws": st.dictionaries(st.sampled_from(["1", "12", "0", "-1", "x"]), rules | json_values, max_size=3),
            "http": st.dictionaries(
                st.sampled_from(["/", "/x", "/x/{y}", "/x/", "x", "/{y:int}", "//"]),
                st.dictionaries(st.sampled_from(["GET", "POST", "get", ""]), rules | json_values, max_size=2)
                | json_values,
                max_size=3,
            ),
            "topics": st.dictionaries(
                st.sampled_from(["t", "t.u", "t.{u}", "t.", "", "t u"]), rules | json_values, max_size=3
            ),
            "x": json_values,
        },
    )
    | st.dictionaries(st.sampled_from(["roles", "ws", "$schema"]), json_values, max_size=3)
)
def test_editors_and_loader_agree(document: Any) -> None:
    faults = loader_faults(document)

    if VALIDATOR.is_valid(document):
        assert all(fault.startswith(UNSAYABLE) for fault in faults)
    else:
        assert faults


@pytest.mark.parametrize("rule", ["public", [], {"any": []}, {"any": ["a"], "x": 1}, ["authenticated"], 1, None])
def test_what_is_no_rule_for_a_packet_is_marked(rule: Any) -> None:
    assert not VALIDATOR.is_valid({"roles": ["a"], "ws": {"1": rule}})
