"""The contract in documents: OpenAPI of the routes, AsyncAPI of the packets, and the page that shows the first."""

from app.framework.contract.asyncapi import asyncapi_document, asyncapi_route
from app.framework.contract.openapi import openapi_config, openapi_routes
from app.framework.contract.page_schema import PageSchema

__all__ = ["PageSchema", "asyncapi_document", "asyncapi_route", "openapi_config", "openapi_routes"]
