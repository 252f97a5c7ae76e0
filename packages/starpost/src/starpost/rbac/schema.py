"""JSON Schema of ``actions.json``, for editors.

It uses the regular expressions of the loader. Rules that a schema cannot express (a role is declared, a member is not
repeated, the code has such a route) are checked by the loader only.
"""

from typing import Any

from starpost.rbac.actions import HTTP_PATH, METHODS, PKG_ID, RESERVED_ROLES, TOPIC

_ROLE = {"$ref": "#/$defs/role"}
_ROLES = {"type": "array", "items": _ROLE, "minItems": 1, "uniqueItems": True}


def actions_schema() -> dict[str, Any]:
    """Return the schema, in JSON Schema 2020-12."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Permission table",
        "description": "Who may send which packet, call which route, subscribe to which topic. No rule means no.",
        "type": "object",
        "required": ["roles"],
        "additionalProperties": False,
        "properties": {
            "$schema": {"type": "string"},
            "roles": {**_ROLES, "description": "The roles of the realm that rules may name."},
            "ws": {
                "description": "Rules by packet number.",
                "type": "object",
                "patternProperties": {_whole(PKG_ID.pattern): {"$ref": "#/$defs/rule"}},
                "additionalProperties": False,
            },
            "http": {
                "description": "Rules by path as in the OpenAPI document, then by method.",
                "type": "object",
                "patternProperties": {_whole(HTTP_PATH.pattern): {"$ref": "#/$defs/methods"}},
                "additionalProperties": False,
            },
            "topics": {
                "description": "Rules by the topic's name as declared.",
                "type": "object",
                "patternProperties": {_whole(TOPIC.pattern): {"$ref": "#/$defs/rule"}},
                "additionalProperties": False,
            },
        },
        "$defs": {
            "role": {"type": "string", "minLength": 1, "not": {"enum": sorted(RESERVED_ROLES)}},
            "rule": {
                "oneOf": [
                    {"const": "authenticated", "description": "Everyone with a valid token."},
                    {**_ROLE, "description": "Who has the role."},
                    {**_ROLES, "description": "Who has all of the roles."},
                    {
                        "description": "Who has one of the roles.",
                        "type": "object",
                        "properties": {"any": _ROLES},
                        "required": ["any"],
                        "additionalProperties": False,
                    },
                ]
            },
            "methods": {
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"enum": list(METHODS)},
                "additionalProperties": {
                    "oneOf": [{"const": "public", "description": "Everyone."}, {"$ref": "#/$defs/rule"}]
                },
            },
        },
    }


def _whole(pattern: str) -> str:
    """Anchor the expression: JSON Schema's patterns match anywhere in a text."""
    return f"^(?:{pattern})$"
