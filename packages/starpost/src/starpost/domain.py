"""What a domain hands to the application."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from litestar.di import Provide
from litestar.types import ControllerRouterHandler

from starpost.packets.router import PackageRouter
from starpost.tasks.task import BackgroundTask
from starpost.topics.topic import Push, Topic


@dataclass(frozen=True, kw_only=True)
class Domain:
    """One folder of ``app/domains``: its packets, its routes and what both depend on.

    Args:
        name: Lower-case, the folder's name.
        packets: The routers of its packets.
        routes: Litestar handlers, controllers or routers.
        dependencies: By parameter name, for packets and routes alike. A provider may itself ask for the framework's
            dependencies and for other domains' ones, by name.
        topics: What clients may subscribe to.
        pushes: What is sent to users, roles or everybody.
        tasks: What runs beside packets and requests; started in this order, stopped in the reverse one.
    """

    name: str
    packets: Sequence[PackageRouter] = ()
    routes: Sequence[ControllerRouterHandler] = ()
    dependencies: Mapping[str, Provide] = field(default_factory=dict)
    topics: Sequence[Topic[Any]] = ()
    pushes: Sequence[Push[Any]] = ()
    tasks: Sequence[BackgroundTask] = ()
