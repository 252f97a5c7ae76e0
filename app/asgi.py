"""The application: the one place where framework and domains meet.

``create_app`` makes everything and starts nothing; what has a life begins and ends in the lifespan.
"""

from collections.abc import Sequence
from enum import IntEnum

from litestar import Litestar
from litestar.di import Provide
from litestar.types import ControllerRouterHandler

from app import __version__
from app.blueprint import Blueprint, coverage_of, find_domains, make_blueprint
from app.framework.console import console_routes
from app.framework.contract import PageSchema, asyncapi_document, asyncapi_route, openapi_config, openapi_routes
from app.framework.db import database_dependencies
from app.framework.domain import Domain
from app.framework.http import stack, wrap
from app.framework.http_handlers import PreparedHandlers
from app.framework.http_input import JSONRequest
from app.framework.observability.routes import observability_routes
from app.framework.packets import DeclarationError
from app.framework.packets.registry import GIVEN
from app.framework.problems import problem_handlers
from app.framework.rbac.guard import permission_guard
from app.framework.server import DrainSignal
from app.framework.tasks import GIVEN as GIVEN_TO_TASKS
from app.pkg_ids import PkgID
from app.services import TRANSLATORS, Services
from app.settings import Settings

TITLE = "Starpost"


def create_app(
    settings: Settings,
    *,
    drain: DrainSignal | None = None,
    domains: Sequence[Domain] | None = None,
    pkg_ids: type[IntEnum] = PkgID,
) -> Litestar:
    """Make the application.

    Args:
        settings: The installation's.
        drain: The launcher's request to drain; without one, nobody asks.
        domains: Instead of those that are found in ``app.domains``.
        pkg_ids: The numbers of their packets.

    Raises:
        DeclarationError: The code, or the code and the permission table together, cannot work; every fault is named.
    """
    drain = drain or DrainSignal()
    domains = find_domains() if domains is None else domains
    services = Services(settings, drain)
    providers = _providers(services, domains)
    blueprint = make_blueprint(settings, providers, domains, pkg_ids)
    endpoint = services.endpoint(blueprint)
    services.supervise(blueprint)
    app = Litestar(
        route_handlers=[
            endpoint.route(),
            *(route for domain in domains for route in domain.routes),
            *services.session_routes(),
            *observability_routes(services.readiness, services.peers),
            *_pages(settings, blueprint, pkg_ids),
        ],
        dependencies=providers,
        guards=[permission_guard(blueprint.table)],
        request_class=JSONRequest,
        request_max_body_size=settings.max_body_bytes,
        exception_handlers=problem_handlers(TRANSLATORS),
        lifespan=[services.running],
        plugins=[PageSchema(), PreparedHandlers()],
        openapi_config=openapi_config(settings, blueprint.table, title=TITLE, version=__version__),
        logging_config=None,
    )
    faults = [*blueprint.faults, *coverage_of(app, blueprint)]
    if faults:
        raise DeclarationError(faults)
    wrap(
        app,
        stack(
            settings,
            observe=services.observer,
            requests=services.requests,
            authenticator=services.authenticator,
            limits=services.limits,
            security=services.security,
        ),
    )
    app.state.blueprint = blueprint
    app.state.services = services
    return app


def _pages(settings: Settings, blueprint: Blueprint, pkg_ids: type[IntEnum]) -> Sequence[ControllerRouterHandler]:
    """The documents, and the pages that show them."""
    document = asyncapi_document(
        settings,
        blueprint.registry,
        blueprint.table,
        title=TITLE,
        version=__version__,
        topics=blueprint.topics.all,
        pushes=[push for domain in blueprint.domains for push in domain.pushes],
        names=pkg_ids,
    )
    return [asyncapi_route(document), *openapi_routes(settings), *console_routes(settings)]


def create_application(drain: DrainSignal) -> Litestar:
    """The application as the launcher's workers make it: from the environment."""
    return create_app(Settings.load(), drain=drain)


def _providers(services: Services, domains: Sequence[Domain]) -> dict[str, Provide]:
    """Dependencies by parameter name: the framework's, then the domains'.

    Raises:
        DeclarationError: Two of them have the same name.
    """
    providers: dict[str, Provide] = {
        **database_dependencies(services.database),
        "events": Provide(services.provide_events, sync_to_thread=False),
        "topic_hub": Provide(services.provide_topic_hub, sync_to_thread=False),
    }
    owners = dict.fromkeys(providers, "the framework")
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
