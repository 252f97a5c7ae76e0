"""Contract documents: OpenAPI of the routes, AsyncAPI of the packets, and the Swagger UI page at ``/schema``.

All of them are made from the code and the permission table, so they cannot be stale::

    from starpost.contract import asyncapi_document, asyncapi_route

    document = asyncapi_document(settings, registry, table, title="Shop", version="1.0")
    route = asyncapi_route(document)     # GET /schema/asyncapi.json

Rules are written as in ``actions.json``, so that a client can evaluate them by the same grammar:

    >>> from starpost.contract.rules import rule_as_written
    >>> from starpost.rbac.rules import AnyOf
    >>> rule_as_written(AnyOf(frozenset({"editor", "admin"})))
    {'any': ['admin', 'editor']}
"""

from starpost.contract.asyncapi import asyncapi_document, asyncapi_route
from starpost.contract.openapi import openapi_config, openapi_routes
from starpost.contract.page_schema import PageSchema

__all__ = ["PageSchema", "asyncapi_document", "asyncapi_route", "openapi_config", "openapi_routes"]
