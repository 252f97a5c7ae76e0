"""Declaration of a domain."""

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
    """Domain of an application: one folder of ``app/domains``.

    Args:
        name: Name of the folder, in lower case.
        packets: Routers of its packets.
        routes: Litestar handlers, controllers or routers.
        dependencies: Providers by parameter name, for packets, routes and tasks. A provider may depend on those of the
            framework and of other domains, by name.
        topics: Topics that clients may subscribe to.
        pushes: Pushes to users, roles or everybody.
        tasks: Background tasks, started in this order and stopped in the reverse one.
    """

    name: str
    packets: Sequence[PackageRouter] = ()
    routes: Sequence[ControllerRouterHandler] = ()
    dependencies: Mapping[str, Provide] = field(default_factory=dict)
    topics: Sequence[Topic[Any]] = ()
    pushes: Sequence[Push[Any]] = ()
    tasks: Sequence[BackgroundTask] = ()
