"""OpenAPI of the HTTP routes, and Swagger UI at ``/schema``, whose Authorize button signs in at Keycloak.

Swagger UI's files come from a package (docs/adr/0009-pages.md), so that the page works offline and runs no script of
another host. Litestar makes the document; this module adds the rules and the form of errors.
"""

import importlib.util
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import msgspec
from litestar import MediaType, Request, Router, get
from litestar.datastructures import CacheControlHeader
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin
from litestar.openapi.spec import Components, OAuthFlow, OAuthFlows, SecurityScheme

from starpost.contract.pages import page_files, page_headers
from starpost.contract.rules import rule_as_written
from starpost.http.problems import MEDIA_TYPE, Problem
from starpost.rbac import ActionTable
from starpost.settings import Settings

SCHEMA_PATH = "/schema"
SCOPES = {"openid": "who you are"}
"""OpenID Connect scopes of a sign-in. Roles need none: they are part of every access token."""

_ASSETS_PATH = f"{SCHEMA_PATH}/assets"
_STATIC = Path(__file__).parent / "static"
_REFERENCE = "#/components/schemas/{name}"


def openapi_config(settings: Settings, table: ActionTable, *, title: str, version: str) -> OpenAPIConfig:
    """Return Litestar's configuration: the document at ``/schema/openapi.json``, the page at ``/schema``.

    Args:
        settings: Keycloak's public address, and the client that the page signs in as.
        table: The rules of the routes.
        title: Name of the application.
        version: Version of the application.
    """
    protocol = f"{settings.keycloak_issuer}/protocol/openid-connect"
    keycloak = OAuthFlow(
        authorization_url=f"{protocol}/auth",
        token_url=f"{protocol}/token",
        refresh_url=f"{protocol}/token",
        scopes=SCOPES,
    )
    return OpenAPIConfig(
        title=title,
        version=version,
        description="The HTTP side. Packets over the WebSocket are in [asyncapi.json](/schema/asyncapi.json).",
        use_handler_docstrings=True,
        security=[{"keycloak": [*SCOPES]}, {"bearer": []}],
        components=Components(
            security_schemes={
                "keycloak": SecurityScheme(
                    type="oauth2",
                    description="Sign in at Keycloak (authorization code with PKCE). Leave `client_secret` empty.",
                    flows=OAuthFlows(authorization_code=keycloak),
                ),
                "bearer": SecurityScheme(
                    type="http", scheme="bearer", bearer_format="JWT", description="An access token of the realm."
                ),
            }
        ),
        render_plugins=[_SwaggerPage(settings), _Document(table)],
        openapi_router=Router(
            SCHEMA_PATH, route_handlers=[], include_in_schema=False, response_headers=page_headers(settings)
        ),
    )


def openapi_routes(settings: Settings) -> Sequence[HTTPRouteHandler | Router]:
    """Return the routes of the page's files, and the one that Keycloak redirects the browser to."""
    files = page_files(
        "schema-assets",
        _ASSETS_PATH,
        [_STATIC, _swagger_ui()],
        cache_control=CacheControlHeader(public=True, max_age=3600),
    )

    @get(
        f"{SCHEMA_PATH}/oauth2-redirect.html",
        media_type=MediaType.HTML,
        include_in_schema=False,
        response_headers=page_headers(settings),
        sync_to_thread=False,
    )
    def oauth2_redirect() -> str:
        """Hand the authorization code to the page that opened this window."""
        return _REDIRECT_PAGE

    return [files, oauth2_redirect]


def described(document: dict[str, Any], table: ActionTable) -> dict[str, Any]:
    """Return the document with the rules of its routes, and with problem documents as their errors.

    A public route has an empty ``security``, every other one ``x-rule``, as in ``actions.json``.

    Args:
        document: Litestar's document; it is not changed.
        table: The rules.
    """
    document = msgspec.json.decode(msgspec.json.encode(document))
    (_, schemas) = msgspec.json.schema_components([Problem], ref_template=_REFERENCE)
    components = document.setdefault("components", {})
    components["schemas"] = {**schemas, **components.get("schemas", {})}
    components["responses"] = {
        "Problem": _problem_response("Any other error"),
        "InvalidData": _problem_response("The request is invalid; `errors` names every invalid field"),
        "Unauthenticated": _problem_response("No token, or one that is not accepted")
        | {"headers": {"WWW-Authenticate": {"schema": {"type": "string"}}}},
        "PermissionDenied": _problem_response("A role is missing"),
    }
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            rule = table.http_rule(path, method.upper())
            if rule is None:
                continue
            _summarize(operation)
            responses = operation.setdefault("responses", {})
            if "400" in responses:
                responses["400"] = _reference("InvalidData")
            if rule.is_public:
                operation["security"] = []
            else:
                operation["x-rule"] = rule_as_written(rule)
                operation["description"] = f"{operation.get('description') or ''}\n\nWho may: `{rule}`.".strip()
                responses.setdefault("401", _reference("Unauthenticated"))
                responses.setdefault("403", _reference("PermissionDenied"))
            responses.setdefault("default", _reference("Problem"))
    return document


def _summarize(operation: dict[str, Any]) -> None:
    """Use the docstring's first line as the summary where Litestar made one from the function's name."""
    first, _, rest = operation.get("description", "").partition("\n")
    if first and " " not in operation.get("summary", ""):
        operation["summary"], operation["description"] = first, rest.strip()


def _problem_response(description: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {MEDIA_TYPE: {"schema": {"$ref": _REFERENCE.format(name="Problem")}}},
    }


def _reference(response: str) -> dict[str, str]:
    return {"$ref": f"#/components/responses/{response}"}


class _Document(JsonRenderPlugin):
    """Plugin for ``openapi.json``, which is rendered once."""

    def __init__(self, table: ActionTable) -> None:
        super().__init__()
        self._table = table
        self._rendered: bytes | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        if self._rendered is None:
            plain: dict[str, Any] = msgspec.json.decode(super().render(request, openapi_schema))
            self._rendered = msgspec.json.encode(described(plain, self._table))
        return self._rendered


class _SwaggerPage(OpenAPIRenderPlugin):
    """Plugin for the page at ``/schema``. Its content security policy forbids inline scripts, so it has none."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(path="/", media_type=MediaType.HTML)
        self._client_id = settings.keycloak_client_id

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002
        return _PAGE.format(
            title=escape(openapi_schema["info"]["title"]),
            assets=_ASSETS_PATH,
            schema=SCHEMA_PATH,
            client_id=escape(self._client_id),
            scopes=escape(" ".join(SCOPES)),
        ).encode()


def _swagger_ui() -> Path:
    """Return the folder of Swagger UI's files. Its package is a Django app, so we locate it without importing it."""
    spec = importlib.util.find_spec("drf_spectacular_sidecar")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("drf-spectacular-sidecar, which carries Swagger UI, is not installed")
    return Path(spec.origin).parent / "static" / "drf_spectacular_sidecar" / "swagger-ui-dist"


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: HTTP API</title>
<link rel="icon" href="{assets}/favicon-32x32.png">
<link rel="stylesheet" href="{assets}/swagger-ui.css">
<link rel="stylesheet" href="{assets}/schema-page.css">
<script src="{assets}/swagger-ui-bundle.js" defer></script>
<script src="{assets}/schema-page.js" defer></script>
</head>
<body>
<div id="swagger-ui" data-schema="{schema}" data-client-id="{client_id}" data-scopes="{scopes}"></div>
</body>
</html>
"""

_REDIRECT_PAGE = f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Signing in</title></head>
<body><script src="{_ASSETS_PATH}/oauth2-redirect.js"></script></body>
</html>
"""
