"""Back-channel logout URL of the application, set in the identity server of `make serve`.

The realm file names port 8000, and only a new realm reads it. So we change the client's setting in the running server,
which keeps it. The call is the same for the development realm and the real Keycloak.
"""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from starpost_dev.commands.get_token import NoTokenError, get_token

_OPERATOR = "realm-operator"
_ATTRIBUTE = "backchannel.logout.url"
_TIMEOUT = 30.0


class LogoutAddressError(Exception):
    """The identity server did not accept the address; the message says why."""


def set_logout_address(variables: Mapping[str, str], url: str) -> None:
    """Set the application's back-channel logout URL.

    The account is the realm file's `realm-operator`, which has the roles that Keycloak requires.

    Args:
        variables: The application's: `KEYCLOAK_BASE_URL`, `KEYCLOAK_REALM`, `KEYCLOAK_CLIENT_ID`.
        url: URL that receives logout tokens (OpenID Connect Back-Channel Logout 1.0, section 2.2).

    Raises:
        LogoutAddressError: The server does not answer, or refuses.
    """
    client_id = variables.get("KEYCLOAK_CLIENT_ID") or "starpost"
    realm = variables.get("KEYCLOAK_REALM") or "starpost"
    try:
        headers = {"Authorization": f"Bearer {get_token(variables, _OPERATOR, _OPERATOR)}"}
        base_url = f"{variables['KEYCLOAK_BASE_URL'].rstrip('/')}/admin/realms/{realm}/"
        with httpx.Client(base_url=base_url, headers=headers, timeout=_TIMEOUT) as admin:
            found = admin.get("clients", params={"clientId": client_id}).raise_for_status().json()
            if not found:
                raise LogoutAddressError(f"it has no client {client_id}")
            client = found[0]
            if client["attributes"].get(_ATTRIBUTE) != url:
                client["attributes"][_ATTRIBUTE] = url
                admin.put(f"clients/{client['id']}", json=client).raise_for_status()
    except (NoTokenError, httpx.HTTPError, ValueError, KeyError) as error:
        raise LogoutAddressError(str(error)) from error
