"""Factory of the application, where framework and domains meet.

``create_app`` loads the declarations, checks them, and makes every part complete. It starts nothing: the lifespan
starts and stops the services.
"""

from collections.abc import Sequence
from enum import IntEnum
from types import ModuleType
from typing import Final

from litestar import Litestar
from litestar.di import NamedDependency, Provide
from litestar.types import ControllerRouterHandler

from starpost.composition.blueprint import Blueprint, coverage_of, load, make_blueprint
from starpost.composition.services import TRANSLATORS, Backends, Services
from starpost.console import console_routes
from starpost.contract import PageSchema, asyncapi_document, asyncapi_route, openapi_config, openapi_routes
from starpost.db import UnitOfWork, database_dependencies
from starpost.domain import Domain
from starpost.http.handlers import PreparedHandlers
from starpost.http.input import JSONRequest
from starpost.http.middleware import stack, wrap
from starpost.http.problems import problem_handlers
from starpost.http.unchecked import UncheckedDependencies
from starpost.observability.routes import observability_routes
from starpost.packets import DeclarationError
from starpost.packets.registry import GIVEN
from starpost.rbac.guard import permission_guard, principal_of
from starpost.server import DrainSignal
from starpost.settings import Settings
from starpost.tasks import GIVEN as GIVEN_TO_TASKS
from starpost.topics import Publisher
from starpost.topics.authorization import plan_checks
from starpost.topics.hub import TopicHub

TOPIC_HUB: Final = "topic_hub"
"""Dependency of the packets about topics. The topics' own checks cannot depend on it, as it is made from them."""


def create_app(
    settings: Settings,
    *,
    domains: ModuleType | Sequence[Domain],
    pkg_ids: type[IntEnum],
    title: str,
    version: str = "0.1.0",
    drain: DrainSignal | None = None,
) -> Litestar:
    """Make the application.

    Args:
        settings: Settings of the installation.
        domains: The package whose folders are the domains, or the domains themselves.
        pkg_ids: Enumeration of the domains' packet numbers.
        title: Name of the application, shown in its documents.
        version: Version of the application, shown in its documents.
        drain: The launcher's request to drain. Without one, the application never drains.

    Raises:
        DeclarationError: The code is invalid, or does not match the permission table; the message names every fault.
    """
    drain = drain or DrainSignal()
    declared = load(settings, domains)
    backends = Backends(settings)
    providers = _providers(settings, backends, declared.domains)
    checks, faults = plan_checks(declared.topics.all, providers)
    topic_hub = TopicHub(
        declared.topics,
        declared.table,
        checks,
        backends.broker,
        backends.presence,
        max_subscriptions=settings.ws_max_subscriptions,
    )
    providers[TOPIC_HUB] = Provide(lambda: topic_hub, sync_to_thread=False)
    blueprint = make_blueprint(declared, providers, pkg_ids, faults)
    services = Services(settings, drain, backends, blueprint, topic_hub)
    app = Litestar(
        route_handlers=[
            services.endpoint.route(),
            *(route for domain in declared.domains for route in domain.routes),
            *services.session_routes(),
            *observability_routes(services.readiness, services.peers),
            *_pages(settings, blueprint, pkg_ids, title=title, version=version),
        ],
        # Routes only: packets, tasks and topics provide a principal themselves.
        dependencies={**providers, "principal": Provide(principal_of, sync_to_thread=False)},
        guards=[permission_guard(blueprint.table)],
        request_class=JSONRequest,
        request_max_body_size=settings.max_body_bytes,
        exception_handlers=problem_handlers(TRANSLATORS),
        lifespan=[services.running],
        plugins=[
            PageSchema(),
            # Not checked: they are of the application's own class, and a domain may annotate the framework's.
            UncheckedDependencies("settings"),
            *([PreparedHandlers()] if settings.fast_paths else []),
        ],
        openapi_config=openapi_config(settings, blueprint.table, title=title, version=version),
        logging_config=None,
    )
    found = [*blueprint.faults, *coverage_of(app, blueprint)]
    if found:
        raise DeclarationError(found)
    wrap(
        app,
        stack(
            settings,
            observe=services.observer,
            requests=services.requests,
            authenticator=services.authenticator,
            limits=services.limits,
            security=services.security,
            sockets=services.endpoint.around,
        ),
    )
    app.state.blueprint = blueprint
    app.state.services = services
    return app


def _pages(
    settings: Settings, blueprint: Blueprint, pkg_ids: type[IntEnum], *, title: str, version: str
) -> Sequence[ControllerRouterHandler]:
    """Return the routes of the documents, and of the pages that show them."""
    document = asyncapi_document(
        settings,
        blueprint.registry,
        blueprint.table,
        title=title,
        version=version,
        topics=blueprint.topics.all,
        pushes=[push for domain in blueprint.domains for push in domain.pushes],
        names=pkg_ids,
    )
    return [asyncapi_route(document), *openapi_routes(settings), *console_routes(settings)]


def _providers(settings: Settings, backends: Backends, domains: Sequence[Domain]) -> dict[str, Provide]:
    """Return the dependencies by parameter name: the framework's, then the domains'.

    Raises:
        DeclarationError: Two of them have the same name.
    """

    def provide_events(unit_of_work: NamedDependency[UnitOfWork]) -> Publisher:
        """Return a publisher whose events leave after the handler's unit of work has committed."""
        return Publisher(backends.broker, unit_of_work.after_commit)

    providers: dict[str, Provide] = {
        **database_dependencies(backends.database),
        "events": Provide(provide_events, sync_to_thread=False),
        "settings": Provide(lambda: settings, sync_to_thread=False),
        "keycloak": Provide(lambda: backends.keycloak, sync_to_thread=False),
    }
    owners = dict.fromkeys((*providers, TOPIC_HUB), "the framework")
    faults = []
    for domain in domains:
        for name, provide in domain.dependencies.items():
            if name in owners or name in GIVEN | GIVEN_TO_TASKS:
                faults.append(f"dependency {name!r} of {domain.name} is already {owners.get(name, 'the packet')}'s")
            owners[name] = domain.name
            providers[name] = provide
    if faults:
        raise DeclarationError(faults)
    return providers
