"""Back-channel logout: notifies the clients of a session that it has ended (OpenID Connect Back-Channel Logout 1.0)."""

from __future__ import annotations

import asyncio
import logging

import httpx

from starpost_dev.realm.realm import Realm
from starpost_dev.realm.sessions import UserSession

_TIMEOUT = 5.0
_log = logging.getLogger(__name__)


async def end_session(realm: Realm, session: UserSession) -> None:
    """End a session and notify its clients. Returns when each has answered, or its time is over.

    The session ends even if a client does not answer; the log names that client.
    """
    realm.sessions.end(session)
    messages = []
    for client_id in session.clients:
        client = realm.directory.clients.get(client_id)
        url = client.attributes.get("backchannel.logout.url") if client else None
        if client is not None and url:
            messages.append((client_id, url, realm.tokens.logout_token(client, session)))
    if messages:
        async with httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False) as http:
            await asyncio.gather(*(_send(http, *message) for message in messages))


async def _send(http: httpx.AsyncClient, client_id: str, url: str, token: str) -> None:
    try:
        answer = await http.post(url, data={"logout_token": token})
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        _log.warning("back-channel logout of client %s failed: %s", client_id, repr(error))
        return
    if answer.is_error:
        _log.warning("back-channel logout of client %s was refused with HTTP %s", client_id, answer.status_code)
