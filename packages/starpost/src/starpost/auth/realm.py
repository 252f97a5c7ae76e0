"""What the application reads of the realm itself: its metadata and its keys, over one HTTP client."""

import asyncio
from typing import Final

import httpx
import msgspec
import structlog

from starpost.errors import StartError, UnavailableError
from starpost.settings import Settings

_log = structlog.stdlib.get_logger(__name__)


SHIPPED_REALM: Final = "development-realm"
"""Mark of the shipped realm file: a level of authentication that nobody has (the realm's attribute ``acr.loa.map``).

Of all that a realm file holds, Keycloak shows this to everybody, in ``acr_values_supported``.
"""


class DevelopmentRealmError(UnavailableError, StartError):
    """Production was pointed at a realm whose passwords everybody knows.

    It keeps a worker from starting; where Keycloak was away at the start, it keeps tokens from being judged.
    """


class _Metadata(msgspec.Struct):
    """The members of the discovery document (OpenID Connect Discovery 1.0, section 3) that we read."""

    issuer: str
    development_realm: bool = False
    acr_values_supported: list[str] = []


class RealmClient:
    """Fetches the realm's public documents from ``KEYCLOAK_BASE_URL``.

    The paths are Keycloak's own. The discovery document is read once, before the first keys are taken: to refuse the
    development realm in production, and to say so when the realm names another issuer than tokens must carry.
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
        """The JWK set document of the realm.

        Raises:
            UnavailableError: Keycloak is away, or does not answer with success.
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
            # Made at the first use: it belongs to the event loop of the worker.
            self._http = httpx.AsyncClient(timeout=self._timeout)
        try:
            # For all of the answer: httpx's own timeout begins anew with each piece of it.
            async with asyncio.timeout(self._timeout):
                response = await self._http.get(self._realm_url + path)
            response.raise_for_status()
        except (httpx.HTTPError, TimeoutError) as error:
            raise UnavailableError(f"Keycloak does not answer: {type(error).__name__}") from error
        return response.content
