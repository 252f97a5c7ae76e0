"""Settings: one frozen struct, filled from the environment and ``.env``. An application adds fields in a subclass.

Nothing is read at import. ``Settings.load()`` reads the process environment over the file ``.env`` of the working
directory (the environment wins), converts every variable and reports **all** wrong ones at once. A variable's name is
the field's name in capitals.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

import msgspec
from dotenv import dotenv_values
from msgspec import Meta


class Secret(str):
    """String whose ``repr`` is masked, so that it does not appear in logs by accident."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret('***')" if self else "Secret('')"


class SettingsError(Exception):
    """One or more variables are wrong; the message has one line for each of them."""


MAX_SHOWN = 100
"""Characters of a wrong value that an error message repeats."""

_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?:[^\s*/:@?#\[\]]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?/?")

ANY_HOST = "*"
HOST_PATTERN = re.compile(
    r"(?P<name>(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?", re.IGNORECASE
)
"""Name in ``ALLOWED_HOSTS``, with ``*.`` for every name below it, with or without a port."""
LOOPBACK_HOSTS = ("localhost", "*.localhost", "127.0.0.1", "[::1]")
"""Names that are allowed in development if ``ALLOWED_HOSTS`` is empty. No page on the web can have one of them."""

Operation = Literal["metrics", "schema"]
Insecurity = Literal["db_ssl", "keycloak_http", "query_token", "redis_password", "redis_tls", "shipped_realm"]
"""Insecure choices that production refuses unless ``ALLOW_INSECURE`` names them."""

MAX_PORT = 65535
Port = Annotated[int, Meta(ge=0, le=MAX_PORT)]
Positive = Annotated[int, Meta(ge=1)]
NotNegative = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of an installation. Seconds are floats, sizes are bytes.

    An application subclasses it with fields of its own. A field without a default is a variable that must be set.
    Production refuses a ``Secret`` that still has its default. ``faults`` checks the settings together.
    """

    environment: Annotated[
        Literal["development", "production"],
        Meta(description="production refuses settings that are only fit for development"),
    ] = "development"

    allow_insecure: Annotated[
        tuple[str, ...],
        Meta(
            description="comma-separated, insecure choices that production accepts, with a warning: "
            + ", ".join(get_args(Insecurity))
        ),
    ] = ()

    node_name: Annotated[
        str, Meta(max_length=255, description="name of this node among the others; empty: the host's name")
    ] = ""
    host: Annotated[str, Meta(min_length=1, description="address to listen on")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="port to listen on")] = 8000
    workers: Annotated[Positive, Meta(description="worker processes")] = 1
    worker_cpus: Annotated[
        tuple[Annotated[str, Meta(pattern="^[0-9]{1,4}(-[0-9]{1,4})?$")], ...],
        Meta(description="cores of the workers, one each, such as 0-3,6; empty: as the kernel decides (Linux)"),
    ] = ()
    reload: Annotated[bool, Meta(description="restart on a change of the code (development)")] = False
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"], Meta(description="the least severe level that is logged")
    ] = "INFO"
    log_format: Annotated[
        Literal["auto", "json", "console"], Meta(description="auto: console on a terminal, json otherwise")
    ] = "auto"
    fast_paths: Annotated[
        bool,
        Meta(
            description="shorter ways through Litestar, Granian and SQLAlchemy; false: theirs, slower, to find faults"
        ),
    ] = True

    keycloak_base_url: Annotated[
        str, Meta(pattern="^https?://", description="Keycloak as this application reaches it")
    ] = "http://127.0.0.1:8080"
    keycloak_public_url: Annotated[
        str,
        Meta(
            pattern="^$|^https?://", description="Keycloak as browsers reach it and as `iss` names it; empty: the same"
        ),
    ] = ""
    keycloak_realm: Annotated[str, Meta(min_length=1, description="the realm")] = "starpost"
    keycloak_client_id: Annotated[str, Meta(min_length=1, description="the client; tokens must be for it")] = "starpost"
    keycloak_client_secret: Annotated[Secret, Meta(description="secret of a confidential client; empty: public")] = (
        Secret()
    )
    keycloak_admin_username: Annotated[str, Meta(description="account of the realm for calls to the admin API")] = (
        "realm-admin"
    )
    keycloak_admin_password: Annotated[Secret, Meta(description="its password")] = Secret("realm-admin")
    keycloak_timeout: Annotated[Seconds, Meta(description="the longest wait for an answer of Keycloak")] = 5.0
    keycloak_leeway: Annotated[
        float, Meta(ge=0, le=5, description="clock difference allowed when a token's times are checked, seconds")
    ] = 2.0
    keycloak_jwks_cooldown: Annotated[
        Seconds, Meta(description="pause after a fetch of the keys that failed or brought no new key")
    ] = 2.0
    keycloak_jwks_refresh: Annotated[
        Seconds,
        Meta(description="interval of fetching the keys; tokens of a withdrawn key are refused from then on"),
    ] = 600.0
    token_require_aud: Annotated[
        bool,
        Meta(description="`aud` must name the client; else `azp` may, where `aud` is absent or Keycloak's `account`"),
    ] = False
    token_max_lifetime: Annotated[
        Seconds,
        Meta(
            description="tokens that live longer are refused, and revocations kept as long; default: Keycloak's longest"
        ),
    ] = 36_000.0
    token_cache_size: Annotated[NotNegative, Meta(description="verified tokens cached per worker")] = 10_000
    debug_auth: Annotated[
        bool, Meta(description="development only: a request without a token is signed in as the debug user")
    ] = False
    debug_auth_username: Annotated[str, Meta(description="the debug user")] = "alice"
    debug_auth_password: Annotated[Secret, Meta(description="its password")] = Secret("alice")

    console_enabled: Annotated[bool, Meta(description="serve the console, the page at /; production never does")] = True

    actions_file_path: Annotated[str, Meta(min_length=1, description="the permission table")] = "actions.json"
    public_in_production: Annotated[
        tuple[str, ...],
        Meta(
            description="comma-separated, paths that may be public in production if the permission table says so: "
            + ", ".join(get_args(Operation))
        ),
    ] = ()
    excluded_paths: Annotated[
        tuple[str, ...],
        Meta(description="regular expressions, comma-separated: HTTP paths on which tokens are ignored"),
    ] = ("^/health/",)
    allowed_origins: Annotated[
        tuple[str, ...],
        Meta(
            description="further origins, comma-separated, whose pages may call from a browser; `*`: any (development)"
        ),
    ] = ()

    allowed_hosts: Annotated[
        tuple[str, ...],
        Meta(
            description="names, comma-separated, under which clients call: host[:port], `*.example.com`; "
            "empty: loopback names (development)"
        ),
    ] = ()
    max_body_bytes: Annotated[Positive, Meta(description="the largest body of a request; above: 413")] = 1_048_576
    body_timeout: Annotated[Seconds, Meta(description="time for the body of a request, else 408")] = 30.0
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(description="addresses and networks, comma-separated, of proxies whose X-Forwarded-For and -Proto count"),
    ] = ()

    redis_ip: Annotated[str, Meta(min_length=1, description="Redis host")] = "127.0.0.1"
    redis_port: Annotated[Port, Meta(description="Redis port")] = 6379
    redis_username: Annotated[str, Meta(description="Redis ACL user")] = ""
    redis_password: Annotated[Secret, Meta(description="Redis password")] = Secret()
    redis_tls: Annotated[bool, Meta(description="use TLS to Redis, and to the sentinels")] = False
    redis_tls_ca: Annotated[str, Meta(description="file with the CA of Redis; empty: the system's")] = ""
    redis_mode: Annotated[
        Literal["single", "sentinel", "cluster"], Meta(description="kind of Redis, and of REDIS_NODES")
    ] = "single"
    redis_nodes: Annotated[
        tuple[str, ...], Meta(description="host:port, comma-separated: sentinels, or nodes of the cluster")
    ] = ()
    redis_sentinel_master: Annotated[
        str, Meta(min_length=1, description="the name under which the sentinels know the master")
    ] = "mymaster"
    redis_sentinel_username: Annotated[str, Meta(description="ACL user of the sentinels")] = ""
    redis_sentinel_password: Annotated[Secret, Meta(description="password of the sentinels")] = Secret()
    redis_prefix: Annotated[
        str,
        Meta(
            min_length=1, description="prefix of all keys and channels; unique for each application that shares a Redis"
        ),
    ] = "starpost"
    main_redis_db: Annotated[NotNegative, Meta(description="database of topics and leases (not in a cluster)")] = 0
    auth_redis_db: Annotated[
        NotNegative, Meta(description="database of connections and revocations (not in a cluster)")
    ] = 1
    user_session_redis_key_prefix: Annotated[str, Meta(min_length=1, description="prefix of connections' keys")] = (
        "session:"
    )

    db_user: Annotated[str, Meta(min_length=1, description="PostgreSQL user")] = "app"
    db_password: Annotated[Secret, Meta(description="its password; any character")] = Secret("app")
    db_host: Annotated[str, Meta(min_length=1, description="PostgreSQL host")] = "127.0.0.1"
    db_port: Annotated[Port, Meta(description="PostgreSQL port")] = 5432
    db_name: Annotated[str, Meta(min_length=1, description="database")] = "app"
    db_ssl: Annotated[
        Literal["disable", "prefer", "require", "verify-ca", "verify-full"],
        Meta(description="TLS to PostgreSQL, as libpq's sslmode"),
    ] = "prefer"
    db_ssl_ca: Annotated[str, Meta(description="file with the CA of PostgreSQL; empty: the system's")] = ""
    db_pool_size: Annotated[Positive, Meta(description="connections kept per worker")] = 10
    db_max_overflow: Annotated[NotNegative, Meta(description="connections above that, closed after use")] = 10
    db_pool_timeout: Annotated[Seconds, Meta(description="the longest wait for a free connection")] = 5.0
    db_pool_recycle: Annotated[
        int, Meta(ge=-1, description="seconds after which a connection is replaced; -1: never")
    ] = 1800
    db_pool_pre_ping: Annotated[bool, Meta(description="test a connection before each use; costs a round trip")] = False
    db_init_retry_interval: Annotated[
        Seconds, Meta(description="pause between tries to reach the database at start")
    ] = 2.0
    db_init_max_retries: Annotated[NotNegative, Meta(description="tries after the first at start")] = 5

    user_rate_limit: Annotated[
        NotNegative,
        Meta(description="packets and requests per second of one user per worker, twice that in a burst; 0: no limit"),
    ] = 1000
    user_rate_limit_shared: Annotated[
        NotNegative, Meta(description="the same over all workers, counted in Redis; 0: no limit")
    ] = 0
    address_rate_limit: Annotated[
        NotNegative,
        Meta(description="requests and handshakes per second of one address without a valid token; 0: no limit"),
    ] = 100

    default_page_size: Annotated[int, Meta(ge=1, le=100, description="default of `per_page`")] = 20

    ws_port: Annotated[
        Port, Meta(description="a second port for sockets alone, a faster one, which needs the package picows; 0: none")
    ] = 0
    ws_public_url: Annotated[
        str,
        Meta(
            pattern="^$|^wss?://",
            description="the socket as clients reach it through a proxy; empty: by the ports here",
        ),
    ] = ""
    ws_query_token: Annotated[bool, Meta(description="accept the token in the query `?Authorization=Bearer%20…`")] = (
        True
    )
    ws_auth_timeout: Annotated[Seconds, Meta(description="time for a first AUTH packet")] = 10.0
    ws_max_message_bytes: Annotated[
        Positive, Meta(description="a larger frame closes with 1009; also the memory for frames that wait")
    ] = 1_048_576
    ws_max_batch: Annotated[int, Meta(ge=1, le=1024, description="packets in one frame")] = 64
    ws_max_bad_frames: Annotated[
        Positive, Meta(description="undecodable frames in a row that close with 4400; before AUTH, all frames")
    ] = 10
    ws_max_parallel: Annotated[
        Positive, Meta(description="packets of one connection that run at once; 1: in order")
    ] = 1
    ws_max_timeout: Annotated[Seconds, Meta(description="the longest time a packet may run, and the default")] = 30.0
    ws_heartbeat: Annotated[Seconds, Meta(description="silence after which the server sends PING")] = 30.0
    ws_heartbeat_timeout: Annotated[Seconds, Meta(description="time for an answer, else 4408")] = 10.0
    ws_token_warning: Annotated[Seconds, Meta(description="TOKEN_EXPIRING comes this long before the expiry")] = 30.0
    ws_max_connections: Annotated[Positive, Meta(description="sockets per worker; above: 1013")] = 10_000
    ws_max_anonymous: Annotated[
        NotNegative,
        Meta(description="of these, sockets that have not signed in; above: 1013; 0: a tenth, at least 1"),
    ] = 0
    ws_max_connections_per_user: Annotated[
        Positive, Meta(description="sockets of one user on all workers; above: 4429")
    ] = 20
    session_lease: Annotated[
        Seconds,
        Meta(
            description="time for which connections of a dead worker are counted; leases are renewed three times in it"
        ),
    ] = 15.0
    ws_max_subscriptions: Annotated[
        Positive, Meta(description="topics of one connection, including those whose presence it watches")
    ] = 100
    presence_lease: Annotated[Seconds, Meta(description="time for which subscribers of a dead worker are present")] = (
        15.0
    )
    ws_rate_limit: Annotated[
        NotNegative, Meta(description="packets per second of one connection, twice that in a burst; 0: no limit")
    ] = 1000
    ws_send_timeout: Annotated[
        Seconds, Meta(description="the longest a frame waits for a client that does not read")
    ] = 10.0
    ws_outbox_messages: Annotated[Positive, Meta(description="frames waiting for one client; above: 1013")] = 1024
    ws_outbox_bytes: Annotated[
        int, Meta(ge=131_072, description="bytes waiting for one client; above: 1013; an array of events needs 128 KiB")
    ] = 4_194_304
    drain_timeout: Annotated[Seconds, Meta(description="time for running packets when the server stops")] = 10.0
    drain_spread: Annotated[
        float, Meta(ge=0, le=300, description="seconds over which a stopping server spreads its clients' reconnects")
    ] = 5.0

    @property
    def worker_cores(self) -> list[int]:
        """Numbers of the cores in ``WORKER_CPUS``, in their order."""
        cores: list[int] = []
        for text in self.worker_cpus:
            first, _, last = text.partition("-")
            cores += range(int(first), int(last or first) + 1)
        return cores

    @property
    def anonymous_places(self) -> int:
        """Most sockets of a worker that may be strangers: ``WS_MAX_ANONYMOUS``, or a tenth if that is 0."""
        return self.ws_max_anonymous or max(1, self.ws_max_connections // 10)

    @property
    def is_production(self) -> bool:
        """True in production, where development conveniences are refused."""
        return self.environment == "production"

    @property
    def accepted_insecurities(self) -> list[str]:
        """Return a line for each insecure choice that production accepts because ``ALLOW_INSECURE`` names it."""
        if not self.is_production:
            return []
        return [fault for name, fault in self._insecurities() if name in self.allow_insecure]

    @property
    def accepted_hosts(self) -> tuple[str, ...]:
        """Names under which clients may call."""
        return self.allowed_hosts or LOOPBACK_HOSTS

    def is_closed(self, template: str) -> bool:
        """Return whether production ignores the public rule of a path: metrics and documents inform attackers."""
        first = template.split("/", 2)[1]
        return self.is_production and first in get_args(Operation) and first not in self.public_in_production

    @property
    def is_console_served(self) -> bool:
        """True if ``/`` is the console. Production never serves a page that holds tokens and sends packets."""
        return self.console_enabled and not self.is_production

    @property
    def keycloak_issuer(self) -> str:
        """Value of ``iss`` in every acceptable token."""
        base = self.keycloak_public_url or self.keycloak_base_url
        return f"{base.rstrip('/')}/realms/{self.keycloak_realm}"

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, dotenv: Path | None = Path(".env")) -> Self:
        """Read the environment over ``dotenv``.

        Args:
            environ: Variables in place of the process environment.
            dotenv: The file, if it exists; ``None`` reads none.

        Raises:
            SettingsError: One or more variables are wrong; every one is named, no value of a secret is shown.
        """
        return cls.from_strings(read_variables(os.environ if environ is None else environ, dotenv))

    @classmethod
    def from_strings(cls, raw: Mapping[str, str]) -> Self:
        """Convert variables to settings; an empty value of anything but a string means the default.

        Raises:
            SettingsError: As for ``load``.
        """
        hints = get_type_hints(cls, include_extras=True)
        values: dict[str, Any] = {}
        faults: list[str] = []
        fields = msgspec.structs.fields(cls)
        for field in fields:
            name = field.name.upper()
            text = raw.get(name)
            hint = hints[field.name]
            base = get_args(hint)[0] if get_origin(hint) is Annotated else hint
            if text is None or (text == "" and not (isinstance(base, type) and issubclass(base, str))):
                if field.required:
                    faults.append(f"{name}: needed, and not set")
                continue
            try:
                values[field.name] = _convert(text, hint, base)
            except msgspec.ValidationError as error:
                shown = "" if _is_secret(base) else f" (got {text[:MAX_SHOWN]!r})"
                faults.append(f"{name}: {error}{shown}")
        is_whole = all(field.name in values for field in fields if field.required)
        settings = cls(**values) if is_whole else None
        if settings is not None:
            faults += settings.faults()
        if settings is None or faults:
            raise SettingsError("wrong settings:\n" + "\n".join(f"  {fault}" for fault in sorted(faults)))
        return settings

    def faults(self) -> list[str]:
        """Check the settings together, and return a line for each fault: ``NAME: why``.

        A subclass extends it: ``[*super().faults(), ...]``. No line may show the value of a secret.
        """
        faults = []
        if self.redis_mode != "single" and not self.redis_nodes:
            faults.append(f"REDIS_NODES: needed when REDIS_MODE is {self.redis_mode}")
        faults += [
            f"REDIS_NODES: {node!r} is not host:port" for node in self.redis_nodes if not _is_host_and_port(node)
        ]
        faults += [
            f"ALLOWED_ORIGINS: {origin!r} is not scheme://host[:port] or `*`"
            for origin in self.allowed_origins
            if origin != "*" and not _ORIGIN.fullmatch(origin)
        ]
        faults += [
            f"ALLOWED_HOSTS: {host!r} is not host[:port], `*.host[:port]` or `*`"
            for host in self.allowed_hosts
            if host != ANY_HOST and not _is_host_pattern(host)
        ]
        faults += [
            f"TRUSTED_PROXIES: {proxy!r} is not an address or a network"
            for proxy in self.trusted_proxies
            if not _is_network(proxy)
        ]
        faults += [
            f"ALLOW_INSECURE: {name!r} is none of {', '.join(get_args(Insecurity))}"
            for name in self.allow_insecure
            if name not in get_args(Insecurity)
        ]
        faults += [
            f"PUBLIC_IN_PRODUCTION: {name!r} is none of {', '.join(get_args(Operation))}"
            for name in self.public_in_production
            if name not in get_args(Operation)
        ]
        for pattern in self.excluded_paths:
            try:
                re.compile(pattern)
            except re.error as error:
                faults.append(f"EXCLUDED_PATHS: {pattern!r} is no regular expression: {error}")
        if self.ws_public_url and not _is_socket_address(self.ws_public_url):
            faults.append("WS_PUBLIC_URL: ws:// or wss:// and a host, as the path is always /web")
        if self.ws_port and self.ws_port == self.port:
            faults.append(f"WS_PORT: the same as PORT ({self.port})")
        faults += [
            f"WORKER_CPUS: {text!r} ends before it begins"
            for text in self.worker_cpus
            if "-" in text and int(text.partition("-")[0]) > int(text.partition("-")[2])
        ]
        if self.ws_max_anonymous > self.ws_max_connections:
            faults.append(f"WS_MAX_ANONYMOUS: more than WS_MAX_CONNECTIONS ({self.ws_max_connections})")
        if self.debug_auth:
            faults += self._debug_auth_faults()
        if self.is_production:
            faults += self._production_faults()
        return faults

    def _debug_auth_faults(self) -> list[str]:
        """Return the settings that would let other machines, or other pages, act as the debug user."""
        faults = []
        if not is_loopback(self.host):
            faults.append(f"DEBUG_AUTH: HOST must be a loopback address, not {self.host!r}: who reaches it has a user")
        if "*" in self.allowed_origins:
            faults.append("DEBUG_AUTH: not with ALLOWED_ORIGINS=*: any page would have a user")
        if ANY_HOST in self.allowed_hosts:
            faults.append("DEBUG_AUTH: not with ALLOWED_HOSTS=*: any page would have a user")
        return faults

    def _production_faults(self) -> list[str]:
        """Return the faults that only production has. The development realm is recognised when keys are fetched."""
        faults = []
        if self.debug_auth:
            faults.append("DEBUG_AUTH: not in production")
        if self.reload:
            faults.append("RELOAD: not in production")
        if "*" in self.allowed_origins:
            faults.append("ALLOWED_ORIGINS: `*` is not allowed in production; list the origins")
        if not self.allowed_hosts:
            faults.append("ALLOWED_HOSTS: needed in production; list the names under which clients call")
        if ANY_HOST in self.allowed_hosts:
            faults.append("ALLOWED_HOSTS: `*` is not allowed in production; list the names")
        for field in msgspec.structs.fields(type(self)):
            is_secret = isinstance(field.default, Secret) and field.default and field.name != "debug_auth_password"
            if is_secret and getattr(self, field.name) == field.default:
                faults.append(f"{field.name.upper()}: still the development default")
        faults += [
            f"{fault}; ALLOW_INSECURE={name} accepts it"
            for name, fault in self._insecurities()
            if name not in self.allow_insecure
        ]
        return faults

    def _insecurities(self) -> Iterator[tuple[Insecurity, str]]:
        """Yield settings that expose secrets or let others in, each with its name in ``ALLOW_INSECURE``.

        Services on this machine are secure. The shipped realm is recognised when keys are fetched.
        """
        redis = [node.rpartition(":")[0] for node in self.redis_nodes] or [self.redis_ip]
        if elsewhere := _elsewhere(redis):
            if not self.redis_password:
                yield "redis_password", f"REDIS_PASSWORD: needed in production for {elsewhere}"
            if self.redis_mode == "sentinel" and not self.redis_sentinel_password:
                yield "redis_password", f"REDIS_SENTINEL_PASSWORD: needed in production for {elsewhere}"
            if not self.redis_tls:
                yield "redis_tls", f"REDIS_TLS: needed in production for {elsewhere}"
        if self.db_ssl in ("disable", "prefer") and (elsewhere := _elsewhere([self.db_host])):
            yield "db_ssl", f"DB_SSL: `require` or more in production for {elsewhere}, not `{self.db_ssl}`"
        for name, url in (
            ("KEYCLOAK_BASE_URL", self.keycloak_base_url),
            ("KEYCLOAK_PUBLIC_URL", self.keycloak_public_url),
        ):
            if url.startswith("http://") and (elsewhere := _elsewhere([_host_of(url)])):
                yield "keycloak_http", f"{name}: https in production for {elsewhere}"
        if self.ws_query_token:
            yield "query_token", "WS_QUERY_TOKEN: not in production, where logs of proxies hold the query"


def read_variables(environ: Mapping[str, str], dotenv: Path | None = Path(".env")) -> dict[str, str]:
    """Variables of the file ``dotenv``, if it exists, and over them those of ``environ``.

    An empty variable of ``environ`` wins, too. No value of the file refers to another: a password may hold ``$``.

    Raises:
        SettingsError: The file cannot be read.
    """
    found: Mapping[str, str | None] = {}
    if dotenv is not None and dotenv.is_file():
        try:
            found = dotenv_values(dotenv, interpolate=False)
        except (OSError, UnicodeError) as error:
            raise SettingsError(f"wrong settings:\n  {dotenv} cannot be read: {error}") from None
    return {**{name: value for name, value in found.items() if value is not None}, **environ}


def _is_host_and_port(node: str) -> bool:
    host, _, port = node.rpartition(":")
    return bool(host) and port.isdecimal() and port.isascii() and 0 < int(port[:6]) <= MAX_PORT


def _is_host_pattern(host: str) -> bool:
    match = HOST_PATTERN.fullmatch(host)
    return match is not None and (match["port"] is None or 0 < int(match["port"]) <= MAX_PORT)


def is_loopback(host: str) -> bool:
    """Return whether the host is this machine: a loopback address or name, or the path of a socket."""
    name = host.lower().rstrip(".").removeprefix("[").removesuffix("]")
    if name.startswith("/") or name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _is_socket_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return bool(parts.hostname) and parts.path in ("", "/", "/web") and not parts.query and not parts.fragment


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or url
    except ValueError:
        return url


def _elsewhere(hosts: Iterable[str]) -> str:
    return ", ".join(host for host in hosts if not is_loopback(host))


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


def _convert(text: str, hint: Any, base: Any) -> Any:
    """Convert the text of a variable to its type, and check the constraints."""
    if _is_secret(base):
        return Secret(text)
    if get_origin(base) is tuple:
        return msgspec.convert([part for part in map(str.strip, text.split(",")) if part], hint, strict=False)
    if base is bool:
        return _boolean(text)
    return msgspec.convert(text.strip(), hint, strict=False, dec_hook=_make)


def _is_secret(base: Any) -> bool:
    return base is Secret or Secret in get_args(base)


def _make(kind: type[Any], text: Any) -> Any:
    """Make a value of a class that msgspec does not support, such as ``Path``."""
    return kind(text)


def _boolean(text: str) -> bool:
    match text.strip().lower():
        case "1" | "true" | "yes" | "on":
            return True
        case "0" | "false" | "no" | "off":
            return False
    raise msgspec.ValidationError("Expected `true` or `false`")
