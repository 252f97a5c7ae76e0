"""The development realm as an ASGI application."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException

from starpost_dev.realm import admin, endpoints, login, logout
from starpost_dev.realm.admin.access import provide_administered_realm
from starpost_dev.realm.cors import CrossOrigin
from starpost_dev.realm.errors import RealmError
from starpost_dev.realm.realm import Realm

_log = logging.getLogger(__name__)


def create_realm_app(realm: Realm) -> Litestar:
    """Make the application that serves a realm. It saves the sessions when it stops."""
    return Litestar(
        route_handlers=[
            endpoints.realm_page,
            endpoints.discovery,
            endpoints.certs,
            endpoints.token,
            endpoints.introspect,
            endpoints.userinfo,
            login.authorize,
            login.authenticate,
            logout.logout,
            logout.browser_logout,
            logout.confirm_logout,
            *admin.ROUTE_HANDLERS,
        ],
        dependencies={
            "realm": Provide(endpoints.provide_realm),
            "admin": Provide(provide_administered_realm),
        },
        middleware=[CrossOrigin()],
        exception_handlers={RealmError: _answer, HTTPException: _answer_http, Exception: _answer_fault},
        state=State({"realm": realm}),
        lifespan=[_keep_sessions],
        openapi_config=None,
        logging_config=None,
    )


@asynccontextmanager
async def _keep_sessions(app: Litestar) -> AsyncIterator[None]:
    yield
    app.state.realm.save_sessions()


def _answer(_request: Request[Any, Any, Any], error: RealmError) -> Response[Any]:
    return Response(error.body if error.body is not None else b"", status_code=error.status, headers=error.headers)


def _answer_http(_request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    phrase = HTTPStatus(error.status_code).phrase
    return Response({"error": f"HTTP {error.status_code} {phrase}"}, status_code=error.status_code)


def _answer_fault(_request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    _log.error("the realm failed", exc_info=error)
    return Response({"error": "unknown_error"}, status_code=500)
