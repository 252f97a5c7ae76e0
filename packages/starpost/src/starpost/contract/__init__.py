"""The contract in documents: OpenAPI of the routes, AsyncAPI of the packets, and the page that shows the first."""

from starpost.contract.asyncapi import asyncapi_document, asyncapi_route
from starpost.contract.openapi import openapi_config, openapi_routes
from starpost.contract.page_schema import PageSchema

__all__ = ["PageSchema", "asyncapi_document", "asyncapi_route", "openapi_config", "openapi_routes"]
