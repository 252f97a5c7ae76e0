"""Example values for a JSON Schema, which a reader can send as they are."""

from collections.abc import Mapping
from typing import Any

_FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "uuid": "550e8400-e29b-41d4-a716-446655440000",
}


def example_of(schema: Mapping[str, Any], components: Mapping[str, Any], name: str = "value") -> Any:
    """Return a small value that the schema allows. An object has only its required members.

    Patterns are ignored. A type whose pattern does not match text like ``Example name`` gives an example of its own
    (``Meta(examples=[...])``).

    Args:
        schema: Schema in msgspec's form; references lead into ``components``.
        components: Schemas by name.
        name: Name of the member; text is made from it.
    """
    if "$ref" in schema and "default" not in schema:
        return example_of(components[schema["$ref"].rpartition("/")[2]], components, name)
    given = [*schema.get("examples", ()), *(schema[word] for word in ("const", "default") if word in schema)]
    given += schema.get("enum", ())
    if given:
        return given[0]
    if "anyOf" in schema:
        return example_of(schema["anyOf"][0], components, name)
    match schema.get("type"):
        case "object":
            return {
                member: example_of(inner, components, member)
                for member, inner in schema.get("properties", {}).items()
                if member in schema.get("required", ())
            }
        case "array":
            return _array(schema, components, name)
        case "integer" | "number":
            return _number(schema)
        case "string":
            return _text(schema, name)
        case "null":
            return None
    # A boolean, or `Any`, whose schema is empty.
    return True


def _array(schema: Mapping[str, Any], components: Mapping[str, Any], name: str) -> list[Any]:
    if "prefixItems" in schema:
        return [example_of(item, components, name) for item in schema["prefixItems"]]
    item = schema.get("items")
    count = schema.get("minItems", 0)
    return [example_of(item, components, name) for _ in range(count)] if isinstance(item, Mapping) else [None] * count


def _number(schema: Mapping[str, Any]) -> int | float:
    step: int | float = schema.get("multipleOf", 1)
    if "exclusiveMinimum" in schema:
        at_least = schema["exclusiveMinimum"] + step
    elif "minimum" in schema:
        at_least = schema["minimum"]
    else:
        at_least = step
        if "maximum" in schema:
            at_least = min(at_least, schema["maximum"])
        elif "exclusiveMaximum" in schema:
            at_least = min(at_least, schema["exclusiveMaximum"] - step)
    multiple: int | float = -(-at_least // step) * step
    return multiple


def _text(schema: Mapping[str, Any], name: str) -> str:
    text = _FORMATS.get(schema.get("format", ""), f"Example {name.replace('_', ' ')}")
    return text.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength")]
