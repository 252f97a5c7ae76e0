"""HTML pages for browsers. Elements that programs look for have the names of Keycloak's theme."""

from __future__ import annotations

from html import escape

from litestar import Response
from litestar.datastructures import Cookie
from litestar.enums import MediaType

_HEADERS = {
    "Cache-Control": "no-store, must-revalidate, max-age=0",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'",
    "X-Frame-Options": "SAMEORIGIN",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_FRAME = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 16px/1.5 sans-serif; max-width: 22rem; margin: 4rem auto; padding: 0 1rem }}
label, input, button {{ display: block; width: 100%; box-sizing: border-box; margin-bottom: .5rem; font: inherit }}
#input-error {{ color: #a30000 }}
</style></head><body><h1>{title}</h1>{content}
<p><small>Development realm: not for production.</small></p></body></html>"""


def login_page(title: str, action: str, *, username: str = "", error: str = "") -> Response[str]:
    """Return the sign-in form, which posts `username` and `password`."""
    told = f'<p id="input-error" role="alert">{escape(error)}</p>' if error else ""
    content = f"""{told}<form id="kc-form-login" action="{escape(action)}" method="post">
<label for="username">Username</label>
<input id="username" name="username" value="{escape(username)}" autocomplete="username" autofocus>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password">
<button id="kc-login" name="login" type="submit">Sign In</button></form>"""
    return page(title, content)


def logout_page(title: str, action: str, session_code: str) -> Response[str]:
    """Return the page that asks for confirmation to sign out, for a request without proof of its origin."""
    content = f"""<p>Do you want to log out?</p><form action="{escape(action)}" method="post">
<input type="hidden" name="session_code" value="{escape(session_code)}">
<button name="confirmLogout" type="submit">Logout</button></form>"""
    return page(title, content)


def message_page(title: str, message: str, *, status: int = 200) -> Response[str]:
    """Return a page with a message."""
    return page(title, f'<p class="instruction">{escape(message)}</p>', status=status)


def page(title: str, content: str, *, status: int = 200) -> Response[str]:
    """Return a page of this realm; `content` is HTML."""
    return Response(
        _FRAME.format(title=escape(title), content=content),
        status_code=status,
        media_type=MediaType.HTML,
        headers=_HEADERS,
    )


def cookie(name: str, value: str, realm: str) -> Cookie:
    """Make a cookie for the pages of this realm only.

    Not `Secure`, which a browser may refuse over plain HTTP; this realm is served on loopback addresses only.
    """
    return Cookie(key=name, value=value, path=f"/realms/{realm}/", httponly=True, samesite="lax", max_age=None)


def no_cookie(name: str, realm: str) -> Cookie:
    """Make a cookie that deletes the one with this name."""
    return Cookie(key=name, value="", path=f"/realms/{realm}/", httponly=True, samesite="lax", max_age=0)
