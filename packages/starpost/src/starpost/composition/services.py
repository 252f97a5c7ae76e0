"""Services of one worker: made with the application, started and stopped by its lifespan.

``Backends`` need only the settings, and handlers may depend on them. ``Services`` are made from the checked
declarations.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

from litestar import Litestar
from litestar.types import ASGIApp, ControllerRouterHandler

from starpost.auth import Authenticator, DebugSignIn, KeycloakClient, MemoryRevocationList, RealmVerifier
from starpost.auth.logout_token import LogoutTokenVerifier
from starpost.composition.blueprint import Blueprint
from starpost.connections import Audiences, ConnectionHub, ConnectionLimits, Endpoint
from starpost.connections.endpoint import SOCKET_PATH
from starpost.connections.places import Places
from starpost.db import Database, UnitOfWork, translate
from starpost.errors import StartError, UnavailableError
from starpost.http.disconnects import RunningRequests
from starpost.http.headers import security_headers
from starpost.http.refusal import refuse
from starpost.limits import AddressLimit, RequestLimits, SharedLimit, UserBudgets
from starpost.observability.access_log import AccessLog
from starpost.observability.health import Readiness
from starpost.observability.http import HTTPObserver
from starpost.observability.metrics import Metrics
from starpost.observability.peers import MetricsPeers
from starpost.observability.security_log import SecurityLog
from starpost.packets import Dispatcher
from starpost.redis import RedisClients, translate_redis
from starpost.redis.tasks import end_task
from starpost.server import DrainSignal
from starpost.server.drain import FLUSH_SECONDS
from starpost.server.port import PICOWS_MISSING
from starpost.sessions import (
    RedisConnectionRegistry,
    Revocations,
    RevocationStore,
    backchannel_logout_route,
    connection_routes,
)
from starpost.settings import Settings
from starpost.tasks import Leases, Supervisor
from starpost.topics import Broker, Publisher
from starpost.topics.hub import TopicHub
from starpost.topics.presence import Presence

if TYPE_CHECKING:
    from starpost.sockets.listener import Listener

TRANSLATORS = (translate, translate_redis)
"""Functions that turn exceptions of PostgreSQL and Redis into errors for clients."""


class Backends:
    """Clients of PostgreSQL, Redis and Keycloak; ``Services`` connects them."""

    def __init__(self, settings: Settings) -> None:
        self.database = Database(settings)
        self.keycloak = KeycloakClient(settings)
        self.redis = RedisClients(settings)
        self.broker = Broker(self.redis)
        self.presence = Presence(self.redis, lease=settings.presence_lease)


class Services:
    """Services of one worker: made with the application, started and stopped by its lifespan.

    Args:
        settings: Settings of the installation.
        drain: The launcher's request to drain.
        backends: Clients of the servers.
        blueprint: Packets, rules and tasks.
        topic_hub: Subscriptions of this worker.
    """

    def __init__(
        self, settings: Settings, drain: DrainSignal, backends: Backends, blueprint: Blueprint, topic_hub: TopicHub
    ) -> None:
        self.settings = settings
        self.drain = drain
        self.database = backends.database
        self.keycloak = backends.keycloak
        self.redis = backends.redis
        self.broker = backends.broker
        self.presence = backends.presence
        self.metrics = Metrics()
        self.security = SecurityLog(self.metrics.security_event)
        self.access = AccessLog(is_direct=settings.fast_paths)
        self.peers = MetricsPeers.of_launcher(self.metrics)
        self.readiness = Readiness(lambda: drain.is_requested)
        revocation_list = MemoryRevocationList(is_known=False)
        self.verifier = RealmVerifier(settings, revocation_list)
        self.authenticator = Authenticator(
            self.verifier, DebugSignIn(settings, self.keycloak) if settings.debug_auth else None
        )
        self.places = Places(total=settings.ws_max_connections, anonymous=settings.anonymous_places)
        self.hub = ConnectionHub(heartbeat=settings.ws_heartbeat, heartbeat_timeout=settings.ws_heartbeat_timeout)
        self.requests = RunningRequests()
        # The process id helps an operator find the process; the random part is there because process ids are reused.
        self.worker = f"{os.getpid()}-{uuid4().hex[:8]}"
        self.connection_registry = RedisConnectionRegistry(
            self.redis,
            node=settings.node_name or socket.gethostname(),
            worker=self.worker,
            limit=settings.ws_max_connections_per_user,
            lease=settings.session_lease,
        )
        self.shared_limit = (
            SharedLimit(
                self.redis,
                settings.user_rate_limit_shared,
                worker=self.worker,
                workers=settings.workers,
                on_failure=self.metrics.shared_limit_failures.inc,
            )
            if settings.user_rate_limit_shared
            else None
        )
        self.limits = RequestLimits(
            UserBudgets(settings.user_rate_limit, self.shared_limit),
            AddressLimit(settings.address_rate_limit),
            refuse=refuse,
            on_refusal=self.metrics.rate_limited,
        )
        self.revocations = Revocations(
            revocation_list,
            RevocationStore(self.redis),
            self.broker,
            self.hub,
            self.security,
            max_lifetime=settings.token_max_lifetime,
            leeway=settings.keycloak_leeway,
        )
        self.verifier.on_keys_withdrawn = self.revocations.end_signed_with
        self.broker.on_control_joined(self.connection_registry.renew_soon)
        # An application without pushes joins no channels of users and roles.
        self.audiences = Audiences(self.hub, self.broker, blueprint.table.roles) if blueprint.has_pushes else None
        self.door: Listener | None = None
        self.endpoint = self._make_endpoint(blueprint, topic_hub)
        self.tasks = Supervisor(
            blueprint.tasks,
            given={
                "publisher": Publisher(self.broker),
                "new_unit_of_work": lambda: UnitOfWork(self.database),
            },
            leases=Leases(self.redis),
            on_failure=self.metrics.task_failed,
        )
        self._report(has_vital_tasks=any(planned.task.is_vital for planned in blueprint.tasks))

    def _make_endpoint(self, blueprint: Blueprint, topic_hub: TopicHub) -> Endpoint:
        """Return the endpoint of the socket for these packets, topics and rules."""
        return Endpoint(
            hub=self.hub,
            registry=self.connection_registry,
            dispatcher=Dispatcher(
                blueprint.registry,
                translators=TRANSLATORS,
                observe=self.metrics.packets.add,
                security=self.security,
            ),
            verifier=self.verifier,
            authenticator=self.authenticator,
            allowed_for=blueprint.table.packets_for,
            limits=connection_limits(self.settings),
            rates=self.limits,
            topics=topic_hub,
            metrics=self.metrics,
            security=self.security,
            is_query_token_accepted=self.settings.ws_query_token,
            places=self.places,
        )

    def observer(self, app: ASGIApp) -> HTTPObserver:
        """Wrap an ASGI application into the observer."""
        return HTTPObserver(app, self.metrics, self.security, self.access, security_headers(self.settings))

    def session_routes(self) -> Sequence[ControllerRouterHandler]:
        """Return the routes that show connections and end sessions."""
        settings = self.settings
        tokens = LogoutTokenVerifier(
            self.verifier,
            issuer=settings.keycloak_issuer,
            client_id=settings.keycloak_client_id,
            leeway=settings.keycloak_leeway,
        )
        return [
            backchannel_logout_route(tokens, self.revocations.end_sessions, self.limits.give_back),
            connection_routes(
                self.connection_registry, self.revocations, self.keycloak, default_page_size=settings.default_page_size
            ),
        ]

    def _report(self, *, has_vital_tasks: bool) -> None:
        """Register the checks of readiness and the gauges."""
        self.readiness.register("database", self.database.ping)
        self.readiness.register("redis", self._check_redis)
        self.readiness.register("keycloak", self._check_keycloak)
        self.readiness.register("sessions", self.connection_registry.check)
        self.readiness.register("revocations", self.revocations.check)
        self.metrics.watch("ws_connections", "Open sockets", lambda: len(self.hub.connections))
        self.metrics.watch("ws_strangers", "Sockets that have not signed in", lambda: self.places.strangers)
        self.metrics.watch("ws_outbox_depth", "Frames that wait for slow clients", self.hub.waiting_frames)
        self.metrics.watch("user_budgets", "Users whose budget is kept", lambda: len(self.limits.users))
        self.metrics.watch("events_waiting", "Events that wait for Redis", lambda: self.broker.waiting)
        if has_vital_tasks:
            self.readiness.register("tasks", self.tasks.check)
        self.metrics.watch(
            "background_tasks_running", "Background tasks that run here", self.tasks.running, label="task"
        )

    async def _check_redis(self) -> None:
        await self.redis.ping()
        if not self.broker.is_connected:
            raise UnavailableError("Events of other workers do not arrive")

    async def _check_keycloak(self) -> None:
        if not self.verifier.is_ready:
            # Without keys no token can be verified. Once they have been fetched, Keycloak may be away.
            await self.verifier.warm_up()
        if not self.verifier.is_ready:
            raise UnavailableError("The realm's keys are not known")

    @asynccontextmanager
    async def running(self, app: Litestar) -> AsyncIterator[None]:
        """Start every service, those that listen last; stop them in the reverse order."""
        async with AsyncExitStack() as stack:
            # Called last, so that the line of the last request is written too.
            stack.callback(self.access.flush)
            await self.peers.open()
            stack.push_async_callback(self.peers.close)
            stack.push_async_callback(self.keycloak.close)
            stack.push_async_callback(self.verifier.close)
            await self.verifier.start()
            await self.database.open()
            stack.push_async_callback(self.database.close)
            stack.push_async_callback(self.redis.close)
            await self.broker.start()
            stack.push_async_callback(self.broker.stop)
            # Called when all services that publish have stopped. After a drain, no event waits any more.
            stack.push_async_callback(self.broker.flush, FLUSH_SECONDS)
            if self.shared_limit is not None:
                await self.shared_limit.start()
                stack.push_async_callback(self.shared_limit.stop)
            await self.presence.start()
            stack.push_async_callback(self.presence.stop)
            await self.connection_registry.start()
            stack.push_async_callback(self.connection_registry.stop)
            await self.revocations.start()
            stack.push_async_callback(self.revocations.stop)
            if self.audiences is not None:
                self.audiences.start()
            await self.hub.start()
            stack.push_async_callback(self.hub.stop)
            await self.requests.start()
            stack.push_async_callback(self.requests.stop)
            await self.tasks.start()
            stack.push_async_callback(self.tasks.stop)
            if self.settings.ws_port:
                self.door = await stack.enter_async_context(self._make_door(app))
            draining = asyncio.create_task(self._drain_when_asked(), name="drain")
            stack.push_async_callback(end_task, draining)
            await stack.enter_async_context(self.drain.watched())
            yield

    def _make_door(self, app: Litestar) -> "Listener":
        """The second door for sockets.

        Raises:
            StartError: The package for it is not there.
        """
        try:
            from starpost.sockets.listener import Listener  # noqa: PLC0415 - an extra of the distribution
        except ModuleNotFoundError as error:
            raise StartError(PICOWS_MISSING) from error
        settings = self.settings
        return Listener(
            app,
            path=SOCKET_PATH,
            host=settings.host,
            port=settings.ws_port,
            max_message_bytes=settings.ws_max_message_bytes,
            page_port=settings.port,
        )

    async def _drain_when_asked(self) -> None:
        await self.drain.requested.wait()
        try:
            if self.door is not None:
                self.door.refuse()
            await self.hub.drain(spread=self.settings.drain_spread, grace=self.settings.drain_timeout)
            await self.broker.flush(FLUSH_SECONDS)
        finally:
            # Reported after an exception too: otherwise the launcher would wait for nothing.
            self.drain.done()


def connection_limits(settings: Settings) -> ConnectionLimits:
    """Return the limits of one connection, from the settings."""
    return ConnectionLimits(
        max_message_bytes=settings.ws_max_message_bytes,
        max_batch=settings.ws_max_batch,
        max_bad_frames=settings.ws_max_bad_frames,
        max_parallel=settings.ws_max_parallel,
        max_timeout=settings.ws_max_timeout,
        auth_timeout=settings.ws_auth_timeout,
        heartbeat=settings.ws_heartbeat,
        heartbeat_timeout=settings.ws_heartbeat_timeout,
        token_warning=settings.ws_token_warning,
        rate_limit=settings.ws_rate_limit,
        send_timeout=settings.ws_send_timeout,
        outbox_messages=settings.ws_outbox_messages,
        outbox_bytes=settings.ws_outbox_bytes,
    )
