"""OpenAPI schema of a ``Page``."""

from typing import Any, get_origin

from litestar.openapi.spec import OpenAPIType, Schema
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition

from starpost.protocol.pages import CursorMeta, OffsetMeta, Page


class PageSchema(OpenAPISchemaPlugin):
    """Schema plugin for pages. msgspec encodes ``meta``, a union of two structs, but cannot describe it."""

    @staticmethod
    def is_plugin_supported_type(value: Any) -> bool:
        """Return whether the type is ``Page[...]``."""
        return get_origin(value) is Page

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:
        """Return the schema, with its parts by reference."""
        (item,) = field_definition.args
        item, offset, cursor = (
            schema_creator.for_field_definition(FieldDefinition.from_annotation(each))
            for each in (item, OffsetMeta, CursorMeta)
        )
        return Schema(
            type=OpenAPIType.OBJECT,
            required=["items", "meta"],
            properties={
                "items": Schema(type=OpenAPIType.ARRAY, items=item),
                "meta": Schema(one_of=[offset, cursor]),
            },
        )
