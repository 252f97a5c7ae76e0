"""HTTP client of the realm's public documents: its metadata and its keys."""

import asyncio
from typing import Final

import httpx
import msgspec
import structlog

from starpost.errors import StartError, UnavailableError
from starpost.settings import Settings

_log = structlog.stdlib.get_logger(__name__)


SHIPPED_REALM: Final = "development-realm"
"""Mark of the shipped realm file: a level of authentication that no user has (the realm's attribute ``acr.loa.map``).

It is the part of a realm file that Keycloak publishes, in ``acr_values_supported``.
"""


class DevelopmentRealmError(UnavailableError, StartError):
    """Production is configured with a realm whose passwords are public.

    A worker does not start. If Keycloak was away at the start, the worker accepts no token.
    """


class _Metadata(msgspec.Struct):
    """Members of the discovery document (OpenID Connect Discovery 1.0, section 3) that we read."""

    issuer: str
    development_realm: bool = False
    acr_values_supported: list[str] = []


class RealmClient:
    """Client of the realm's public documents, below ``KEYCLOAK_BASE_URL``.

    The paths are Keycloak's. The discovery document is read once, before the first keys: to refuse the development
    realm in production, and to log a warning if the realm's issuer is not the one that tokens must have.
    """

    def __init__(self, settings: Settings) -> None:
        self._realm_url = f"{settings.keycloak_base_url.rstrip('/')}/realms/{settings.keycloak_realm}"
        self._issuer = settings.keycloak_issuer
        self._timeout = settings.keycloak_timeout
        self._is_production = settings.is_production
        self._is_shipped_realm_accepted = "shipped_realm" in settings.allow_insecure
        self._is_introduced = False
        self._http: httpx.AsyncClient | None = None

    async def fetch_jwks(self) -> bytes:
        """Fetch the JWK set document of the realm.

        Raises:
            UnavailableError: Keycloak is away, or its answer is an error.
            DevelopmentRealmError: This is production, and the realm is the development realm, or made from its file.
        """
        if not self._is_introduced:
            self._introduce(await self._get("/.well-known/openid-configuration"))
            self._is_introduced = True
        return await self._get("/protocol/openid-connect/certs")

    async def close(self) -> None:
        """Close the HTTP client."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    def _introduce(self, document: bytes) -> None:
        try:
            metadata = msgspec.json.decode(document, type=_Metadata)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UnavailableError("The realm's discovery document is malformed") from error
        if metadata.development_realm and self._is_production:
            raise DevelopmentRealmError(f"{self._realm_url} is the development realm; production needs a real Keycloak")
        if SHIPPED_REALM in metadata.acr_values_supported and self._is_production:
            if not self._is_shipped_realm_accepted:
                raise DevelopmentRealmError(
                    f"{self._realm_url} was made from the shipped realm file, whose passwords everybody knows; "
                    "ALLOW_INSECURE=shipped_realm accepts it"
                )
            _log.warning("insecure_in_production", accepted=f"{self._realm_url} was made from the shipped realm file")
        if metadata.issuer != self._issuer:
            _log.warning(
                "issuer_differs",
                realm_says=metadata.issuer,
                tokens_must_say=self._issuer,
                hint="set KEYCLOAK_PUBLIC_URL to the URL under which browsers reach Keycloak",
            )

    async def _get(self, path: str) -> bytes:
        if self._http is None:
            # Made at the first use, because it belongs to the event loop of the worker.
            self._http = httpx.AsyncClient(timeout=self._timeout)
        try:
            # For the whole answer: httpx's own timeout starts again with each piece of it.
            async with asyncio.timeout(self._timeout):
                response = await self._http.get(self._realm_url + path)
            response.raise_for_status()
        except (httpx.HTTPError, TimeoutError) as error:
            raise UnavailableError(f"Keycloak does not answer: {type(error).__name__}") from error
        return response.content
