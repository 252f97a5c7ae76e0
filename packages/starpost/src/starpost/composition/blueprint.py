"""Declarations of the code and the permission table: loaded, then checked, before any service exists."""

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import ModuleType
from typing import Any

from litestar import Litestar
from litestar.di import Provide

from starpost.domain import Domain
from starpost.packets import DeclarationError, PacketRegistry
from starpost.packets.numbers import SERVER_SENT, SystemPacket
from starpost.packets.registry import freeze
from starpost.packets.system import system_router
from starpost.rbac import ActionTable, DeclaredPacket, DeclaredTopic, coverage_faults
from starpost.rbac.guard import declared_routes
from starpost.settings import Settings
from starpost.tasks import PlannedTask, plan_tasks
from starpost.topics import Topic, Topics
from starpost.topics.packets import topic_router


@dataclass(frozen=True, slots=True, kw_only=True)
class Declarations:
    """Domains, their topics and the permission table, not checked yet."""

    domains: Sequence[Domain]
    topics: Topics
    table: ActionTable
    is_table_read: bool
    """False if the file could not be read. ``table`` is then empty, and the application does not start."""
    faults: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """Checked declarations of the code and the permission table, with the faults that were found."""

    domains: Sequence[Domain]
    registry: PacketRegistry
    table: ActionTable
    topics: Topics
    tasks: Sequence[PlannedTask]
    faults: Sequence[str]

    @property
    def has_pushes(self) -> bool:
        """True if a domain pushes to users, to roles or to everybody."""
        return any(domain.pushes for domain in self.domains)


def find_domains(package: ModuleType) -> list[Domain]:
    """Import every package in ``package``, and return the ``domain`` that each exposes.

    Raises:
        DeclarationError: A package exposes none.
    """
    found, faults = [], []
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        domain = getattr(importlib.import_module(module.name), "domain", None)
        if isinstance(domain, Domain):
            found.append(domain)
        else:
            faults.append(f"{module.name}: exposes no `domain = Domain(...)`")
    if faults:
        raise DeclarationError(faults)
    return found


def load(settings: Settings, domains: ModuleType | Sequence[Domain]) -> Declarations:
    """Find the domains, and read the permission table.

    Raises:
        DeclarationError: A package of ``domains`` exposes no domain.
    """
    domains = find_domains(domains) if isinstance(domains, ModuleType) else domains
    topics = [topic for domain in domains for topic in domain.topics]
    path = settings.actions_file_path
    table, faults = ActionTable.examine(Path(path))
    return Declarations(
        domains=domains,
        topics=Topics(topics),
        table=ActionTable(frozenset(), {}, {}, {}) if table is None else table.without_public(settings.is_closed),
        is_table_read=table is not None,
        faults=[*_faults_of_topics(topics), *(f"{path}: {fault.path}: {fault.msg}" for fault in faults)],
    )


def make_blueprint(
    declared: Declarations, providers: Mapping[str, Provide], pkg_ids: type[IntEnum], faults: Sequence[str] = ()
) -> Blueprint:
    """Check packets and tasks. ``create_app`` checks the routes, which exist only then.

    Args:
        declared: The declarations.
        providers: Dependencies by parameter name.
        pkg_ids: Enumeration of the packet numbers.
        faults: Faults found earlier, in addition to those of ``declared``.

    Raises:
        DeclarationError: The permission table could not be read; the message names every other fault, too.
    """
    domains = declared.domains
    pushes = [push for domain in domains for push in domain.pushes]
    registry, packet_faults = freeze(
        [
            *system_router.declarations,
            *topic_router.declarations,
            *(declared for domain in domains for router in domain.packets for declared in router.declarations),
        ],
        numbers=(SystemPacket, pkg_ids),
        providers=providers,
        pushed=SERVER_SENT | {topic.pkg_id for topic in declared.topics.all} | {push.pkg_id for push in pushes},
    )
    tasks, task_faults = plan_tasks([(domain.name, task) for domain in domains for task in domain.tasks], providers)
    found = [*packet_faults, *faults, *task_faults, *declared.faults]
    if not declared.is_table_read:
        raise DeclarationError(found)
    return Blueprint(
        domains=domains, registry=registry, table=declared.table, topics=declared.topics, tasks=tasks, faults=found
    )


def _faults_of_topics(topics: Sequence[Topic[Any]]) -> list[str]:
    faults = []
    first: dict[str, Topic[Any]] = {}
    for topic in topics:
        if topic.name in first:
            faults.append(f"{topic.location}: topic {topic.name!r} is already declared at {first[topic.name].location}")
        first.setdefault(topic.name, topic)
    return faults


def coverage_of(app: Litestar, blueprint: Blueprint) -> list[str]:
    """Return every difference between the permission table and the code."""
    packets = [
        DeclaredPacket(route.pkg_id, route.name, route.declaration.location)
        for route in blueprint.registry.values()
        if not route.is_system
    ]
    topics = [DeclaredTopic(topic.name, topic.location) for topic in blueprint.topics.all]
    return coverage_faults(blueprint.table, packets, declared_routes(app.routes), topics)
