"""Logout by a client, with a refresh token, and by a browser (OpenID Connect RP-Initiated Logout 1.0)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from litestar import Request, Response, get, post

from starpost_dev.realm.authorization import is_valid_redirect
from starpost_dev.realm.backchannel import end_session
from starpost_dev.realm.directory import Client
from starpost_dev.realm.endpoints import PROTOCOL_PATH, REALM_PATH, read_form
from starpost_dev.realm.grants import authenticate_client, read_refresh_token
from starpost_dev.realm.login import IDENTITY_COOKIE, session_of_browser
from starpost_dev.realm.pages import logout_page, message_page, no_cookie
from starpost_dev.realm.realm import Realm


@post(f"{PROTOCOL_PATH}/logout", status_code=200)
async def logout(request: Request[Any, Any, Any], realm: Realm) -> Response[Any]:
    """End the session of a refresh token; without one, the browser's logout by form."""
    form = await read_form(request)
    if "refresh_token" not in form:
        return await _browser_logout(request, realm, form)
    client = authenticate_client(realm, form, request.headers.get("Authorization"))
    claims = read_refresh_token(realm, client, form["refresh_token"])
    session = realm.sessions.get(claims["sid"])
    if session is not None:
        await end_session(realm, session)
    return Response(None, status_code=204)


@get(f"{PROTOCOL_PATH}/logout")
async def browser_logout(request: Request[Any, Any, Any], realm: Realm) -> Response[Any]:
    """End the session that an ID token names, and send the browser back to the client."""
    return await _browser_logout(request, realm, dict(request.query_params))


@post(f"{REALM_PATH}/login-actions/logout-confirm", status_code=200)
async def confirm_logout(request: Request[Any, Any, Any], realm: Realm) -> Response[Any]:
    """Handle the user's confirmation to sign out."""
    form = await read_form(request)
    session = session_of_browser(request, realm)
    claims = realm.tokens.verify_internal(form.get("session_code", ""))
    if session is None or claims is None or claims.get("typ") != "Logout-Form" or claims.get("sid") != session.id:
        return message_page(realm.title, "This form is too old, or was shown to another browser.", status=400)
    await end_session(realm, session)
    return _signed_out(realm, claims.get("back"))


async def _browser_logout(request: Request[Any, Any, Any], realm: Realm, query: dict[str, str]) -> Response[Any]:
    hint = realm.tokens.verify(query["id_token_hint"], check_expiry=False) if query.get("id_token_hint") else None
    if query.get("id_token_hint") and (hint is None or hint.get("typ") != "ID"):
        return message_page(realm.title, "Invalid parameter: id_token_hint", status=400)
    client = realm.directory.clients.get(hint["azp"] if hint else query.get("client_id", ""))
    back = query.get("post_logout_redirect_uri")
    if back is not None:
        if client is None:
            return message_page(realm.title, "Missing parameters: id_token_hint", status=400)
        if not is_valid_redirect(back, _post_logout_patterns(client)):
            return message_page(realm.title, "Invalid redirect uri", status=400)
        if query.get("state"):
            back += ("&" if "?" in back else "?") + urlencode({"state": query["state"]})
    session = realm.sessions.get(hint["sid"]) if hint else session_of_browser(request, realm)
    if session is None:
        return _signed_out(realm, back)
    if hint is None:
        # Any page can send a browser here, so without the ID token the user is asked.
        ticket = {
            "typ": "Logout-Form",
            "sid": session.id,
            "back": back,
            "exp": session.started + realm.sessions.lifespan,
        }
        action = f"{realm.issuer}/login-actions/logout-confirm"
        return logout_page("Logging out", action, realm.tokens.sign_cookie(ticket))
    await end_session(realm, session)
    return _signed_out(realm, back)


def _post_logout_patterns(client: Client) -> list[str]:
    written = client.attributes.get("post.logout.redirect.uris", "+")
    patterns = [pattern for pattern in written.split("##") if pattern and pattern != "-"]
    if "+" in patterns:
        patterns += client.redirect_uris
    return patterns


def _signed_out(realm: Realm, back: str | None) -> Response[Any]:
    response: Response[Any]
    if back is None:
        response = message_page(realm.title, "You are logged out")
    else:
        response = Response(b"", status_code=302, headers={"Location": back, "Cache-Control": "no-store"})
    response.cookies.append(no_cookie(IDENTITY_COOKIE, realm.name))
    return response
