"""Authorization endpoint and its sign-in form."""

from __future__ import annotations

import logging
import secrets
import time
from typing import Any
from urllib.parse import urlencode

from litestar import Request, Response, get, post

from starpost_dev.realm.authorization import (
    AuthorizationRequest,
    is_valid_redirect,
    read_request,
    redirect_answer,
)
from starpost_dev.realm.endpoints import PROTOCOL_PATH, REALM_PATH, read_form
from starpost_dev.realm.errors import OAuthError
from starpost_dev.realm.grants import check_password
from starpost_dev.realm.pages import cookie, login_page, message_page
from starpost_dev.realm.realm import Realm
from starpost_dev.realm.sessions import UserSession

#: The cookie that binds a form to the browser that it was shown to.
BROWSER_COOKIE = "AUTH_SESSION_ID"
#: The cookie of a browser that is signed in.
IDENTITY_COOKIE = "KEYCLOAK_IDENTITY"

_log = logging.getLogger(__name__)
# Text on the form for each refusal of the password check.
_FORM_ERRORS = {
    "Account disabled": "Account is disabled, contact your administrator.",
    "Account is not fully set up": "Account is not fully set up; an administrator must complete it.",
}
_BAD_CREDENTIALS = "Invalid username or password."


@get(f"{PROTOCOL_PATH}/auth")
async def authorize(request: Request[Any, Any, Any], realm: Realm) -> Response[Any]:
    """Show the sign-in form, or issue a code at once if the browser is signed in (RFC 6749, section 3.1)."""
    query = dict(request.query_params)
    if not query.get("client_id"):
        return _refusal(realm, "Invalid Request")
    client = realm.directory.clients.get(query["client_id"])
    if client is None or client.bearer_only or not client.enabled:
        return _refusal(realm, "Client not found." if client is None else "Client disabled.")
    redirect_uri = query.get("redirect_uri")
    if not client.standard_flow or redirect_uri is None or not is_valid_redirect(redirect_uri, client.redirect_uris):
        return _refusal(realm, "Invalid parameter: redirect_uri")
    try:
        asked = read_request(client, query)
    except OAuthError as error:
        told = {"error": error.error, **({"error_description": error.description} if error.description else {})}
        return _redirect(redirect_answer(redirect_uri, query.get("state"), realm.issuer, **told))
    session = session_of_browser(request, realm)
    if session is not None and _is_fresh_enough(asked, session):
        return _answer_with_code(realm, asked, session)
    if "none" in asked.prompt:
        return _redirect(asked.answer(realm.issuer, error="login_required"))
    return _show_form(realm, asked, request.cookies.get(BROWSER_COOKIE), username=asked.login_hint)


@post(f"{REALM_PATH}/login-actions/authenticate", status_code=200)
async def authenticate(request: Request[Any, Any, Any], realm: Realm) -> Response[Any]:
    """Handle the submitted form. A wrong password shows it again."""
    browser = request.cookies.get(BROWSER_COOKIE, "")
    query = request.query_params
    pending = realm.logins.answered(query.get("tab_id", ""), query.get("session_code", ""), browser)
    if pending is None:
        return _refusal(realm, "This form was already sent, is too old, or was shown to another browser.")
    form = await read_form(request)
    username = form.get("username", "")
    try:
        user = check_password(realm, username, form.get("password", ""))
    except OAuthError as error:
        told = _FORM_ERRORS.get(error.description, _BAD_CREDENTIALS)
        return _show_form(realm, pending.request, browser, username=username, error=told)
    session = realm.sessions.start(user.id, signed_in=int(time.time()))
    _log.info("signed in: user %s, client %s", user.username, pending.request.client_id)
    response = _answer_with_code(realm, pending.request, session)
    lifespan = realm.settings.sso_session_max_lifespan
    identity = {"typ": "Serialized-ID", "sub": user.id, "sid": session.id, "exp": session.started + lifespan}
    response.cookies.append(cookie(IDENTITY_COOKIE, realm.tokens.sign_cookie(identity), realm.name))
    return response


def session_of_browser(request: Request[Any, Any, Any], realm: Realm) -> UserSession | None:
    """Return the session that the browser's cookie names; None if it has ended or its user may no longer sign in."""
    claims = realm.tokens.verify_internal(request.cookies.get(IDENTITY_COOKIE, ""))
    if claims is None or claims.get("typ") != "Serialized-ID":
        return None
    session = realm.sessions.get(claims["sid"])
    user = realm.directory.users.get(session.user_id) if session else None
    return session if user is not None and user.enabled else None


def _is_fresh_enough(asked: AuthorizationRequest, session: UserSession) -> bool:
    if "login" in asked.prompt:
        return False
    return asked.max_age is None or time.time() - (session.signed_in or 0) <= asked.max_age


def _answer_with_code(realm: Realm, asked: AuthorizationRequest, session: UserSession) -> Response[Any]:
    realm.sessions.join(session, asked.client_id)
    code = realm.logins.issue(asked, session.id, realm.directory.clients[asked.client_id].id)
    return _redirect(asked.answer(realm.issuer, session_state=session.id, code=code))


def _show_form(
    realm: Realm, asked: AuthorizationRequest, browser: str | None, *, username: str = "", error: str = ""
) -> Response[Any]:
    browser = browser or secrets.token_urlsafe(24)
    tab, pending = realm.logins.show(asked, browser)
    query = {"session_code": pending.session_code, "client_id": asked.client_id, "tab_id": tab}
    action = f"{realm.issuer}/login-actions/authenticate?{urlencode(query)}"
    response = login_page(f"Sign in to {realm.title}", action, username=username, error=error)
    response.cookies.append(cookie(BROWSER_COOKIE, browser, realm.name))
    return response


def _refusal(realm: Realm, message: str) -> Response[Any]:
    # Not by redirection, because the request may not come from a client (RFC 6749, section 4.1.2.1).
    return message_page(f"Sign in to {realm.title}", message, status=400)


def _redirect(url: str) -> Response[Any]:
    return Response(b"", status_code=302, headers={"Location": url, "Cache-Control": "no-store"})
