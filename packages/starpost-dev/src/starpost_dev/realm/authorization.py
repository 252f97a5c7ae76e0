"""Authorization request, the sign-in that it waits for, and the code that ends it (RFC 6749, section 4.1)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Iterable, Mapping
from urllib.parse import unquote, urlencode, urlsplit

import msgspec

from starpost_dev.realm.directory import Client
from starpost_dev.realm.errors import OAuthError
from starpost_dev.realm.tokens import Scope

# RFC 7636, sections 4.1 and 4.2.
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_CHALLENGE_METHODS = ("S256", "plain")
_LOOPBACK = ("127.0.0.1", "localhost")
_MAX_PENDING = 1000


class AuthorizationRequest(msgspec.Struct, frozen=True):
    """Checked authorization request of a client."""

    client_id: str
    redirect_uri: str
    scope: str
    state: str | None
    nonce: str | None
    prompt: frozenset[str]
    max_age: int | None
    login_hint: str
    code_challenge: str | None
    code_challenge_method: str | None

    def answer(self, issuer: str, **members: str) -> str:
        """Return the URL that carries the answer to the client, with its `state` and our `iss` (RFC 9207)."""
        return redirect_answer(self.redirect_uri, self.state, issuer, **members)


class CodeGrant(msgspec.Struct, frozen=True):
    """Grant behind an authorization code."""

    request: AuthorizationRequest
    session_id: str
    expires: float


class PendingLogin(msgspec.Struct):
    """Sign-in form that was shown; `browser` is the cookie of the browser that may answer it."""

    request: AuthorizationRequest
    browser: str
    session_code: str
    expires: float


class LoginStore:
    """Sign-in forms that wait for an answer, and codes that wait for their exchange. Each can be used once.

    Args:
        form_lifespan: seconds to fill in the form.
        code_lifespan: seconds to exchange the code.
    """

    def __init__(self, form_lifespan: int, code_lifespan: int) -> None:
        self._form_lifespan = form_lifespan
        self._code_lifespan = code_lifespan
        self._forms: dict[str, PendingLogin] = {}
        self._codes: dict[str, CodeGrant] = {}

    def show(self, request: AuthorizationRequest, browser: str) -> tuple[str, PendingLogin]:
        """Record that a form is shown, and return its id."""
        now = time.time()
        self._forms = {key: form for key, form in self._forms.items() if form.expires > now}
        while len(self._forms) >= _MAX_PENDING:
            del self._forms[next(iter(self._forms))]
        tab = secrets.token_urlsafe(8)
        form = PendingLogin(request, browser, secrets.token_urlsafe(32), now + self._form_lifespan)
        self._forms[tab] = form
        return tab, form

    def answered(self, tab: str, session_code: str, browser: str) -> PendingLogin | None:
        """Use up and return the form that this answer belongs to; None if there is none for this browser."""
        form = self._forms.get(tab)
        if form is None or form.expires <= time.time():
            return None
        is_same = hmac.compare_digest(form.browser.encode(), browser.encode())
        if not is_same or not hmac.compare_digest(form.session_code.encode(), session_code.encode()):
            return None
        return self._forms.pop(tab)

    def issue(self, request: AuthorizationRequest, session_id: str, client_uuid: str) -> str:
        """Issue a code. Like Keycloak's, it names its session, so that a second use can end the session."""
        now = time.time()
        self._codes = {key: held for key, held in self._codes.items() if held.expires > now}
        code = f"{secrets.token_urlsafe(24)}.{session_id}.{client_uuid}"
        self._codes[code] = CodeGrant(request, session_id, now + self._code_lifespan)
        return code

    def redeem(self, code: str) -> CodeGrant | None:
        """Use up a code and return its grant; None if the code is unknown, expired or used."""
        held = self._codes.pop(code, None)
        return held if held and held.expires > time.time() else None


def session_of_code(code: str) -> str | None:
    """Return the session that a code names."""
    parts = code.split(".")
    return parts[1] if len(parts) == 3 else None


def redirect_answer(redirect_uri: str, state: str | None, issuer: str, **members: str) -> str:
    """Return the redirect URI with an answer in its query (RFC 6749, sections 4.1.2 and 4.1.2.1)."""
    answer = {**members, **({} if state is None else {"state": state}), "iss": issuer}
    base, hash_mark, fragment = redirect_uri.partition("#")
    return f"{base}{'&' if '?' in base else '?'}{urlencode(answer)}{hash_mark}{fragment}"


def read_request(client: Client, query: Mapping[str, str]) -> AuthorizationRequest:
    """Check an authorization request whose client and redirect URI are known to be valid.

    Raises:
        OAuthError: the client gets it by redirection (RFC 6749, section 4.1.2.1; RFC 7636, section 4.4.1).
    """
    kind = query.get("response_type")
    if not kind:
        raise OAuthError("invalid_request", "Missing parameter: response_type")
    if kind != "code":
        raise OAuthError("unsupported_response_type", "")
    scope = Scope(query.get("scope"))
    challenge, method = _read_code_challenge(client, query)
    max_age = query.get("max_age", "")
    return AuthorizationRequest(
        client_id=client.client_id,
        redirect_uri=query["redirect_uri"],
        scope=scope.asked,
        state=query.get("state"),
        nonce=query.get("nonce"),
        prompt=frozenset(query.get("prompt", "").split()),
        max_age=int(max_age) if max_age.isdecimal() else None,
        login_hint=query.get("login_hint", ""),
        code_challenge=challenge,
        code_challenge_method=method,
    )


def _read_code_challenge(client: Client, query: Mapping[str, str]) -> tuple[str | None, str | None]:
    demanded = client.attributes.get("pkce.code.challenge.method")
    challenge, method = query.get("code_challenge"), query.get("code_challenge_method")
    if demanded:
        if not method:
            raise OAuthError("invalid_request", "Missing parameter: code_challenge_method")
        if method != demanded:
            raise OAuthError(
                "invalid_request", "Invalid parameter: code challenge method is not matching the configured one"
            )
        if not challenge:
            raise OAuthError("invalid_request", "Missing parameter: code_challenge")
    if challenge is None:
        return None, None
    method = method or "plain"
    if method not in _CHALLENGE_METHODS:
        raise OAuthError("invalid_request", "Invalid parameter: invalid code_challenge_method")
    if not _VERIFIER.fullmatch(challenge):
        raise OAuthError("invalid_request", "Invalid parameter: code_challenge")
    return challenge, method


def verify_code_challenge(request: AuthorizationRequest, verifier: str | None) -> None:
    """Compare the code verifier with the challenge (RFC 7636, section 4.6).

    Raises:
        OAuthError: it is missing, malformed, or does not match (`invalid_grant`).
    """
    if request.code_challenge is None:
        return
    if not verifier:
        raise OAuthError("invalid_grant", "PKCE code verifier not specified")
    if not _VERIFIER.fullmatch(verifier):
        raise OAuthError("invalid_grant", "PKCE verification failed: Invalid code verifier")
    made = verifier
    if request.code_challenge_method == "S256":
        made = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    if not hmac.compare_digest(made, request.code_challenge):
        raise OAuthError("invalid_grant", "PKCE verification failed: Code mismatch")


def is_valid_redirect(uri: str | None, patterns: Iterable[str]) -> bool:
    """Return whether a client may be answered at this URI.

    A pattern is a URI, or ends in `*` and matches URIs with that prefix. On loopback addresses any port is allowed (RFC
    8252, section 7.3), since a program uses a port that happens to be free.
    """
    if not uri or any(ord(char) <= 0x20 or char == "\\" for char in uri):
        return False
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        return False
    if not parts.scheme or not parts.hostname or "@" in parts.netloc or ".." in unquote(parts.path).split("/"):
        return False
    candidates = [uri]
    if parts.scheme == "http" and parts.hostname in _LOOPBACK and port is not None:
        candidates.append(parts._replace(netloc=parts.hostname).geturl())
    return any(_matches(candidate, pattern) for candidate in candidates for pattern in patterns)


def _matches(uri: str, pattern: str) -> bool:
    if not pattern.endswith("*"):
        return uri == pattern
    begin = pattern[:-1]
    plain = uri.partition("#")[0].partition("?")[0]
    return plain.startswith(begin) or plain == begin.rstrip("/")
