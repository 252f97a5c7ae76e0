"""Throw-away servers for tests and measurements, in a private folder that is removed with them.

All functions are context managers, and block while servers start and stop. If the process is killed, a watchdog ends
the servers and removes the folder.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from starpost_dev.services.binaries import postgres_programs, valkey_program
from starpost_dev.services.postgres import THROW_AWAY, Postgres
from starpost_dev.services.services import IDENTITY, POSTGRES, VALKEY, Services
from starpost_dev.services.state import StateFolder, temporary_state
from starpost_dev.services.valkey import Valkey, ValkeyCluster, cluster_settings
from starpost_dev.services.watchdog import Watchdog


@contextmanager
def ephemeral_services(
    *,
    realm: bool = False,
    postgres_settings: Mapping[str, str] = THROW_AWAY,
    valkey_settings: Mapping[str, str] | None = None,
) -> Iterator[Services]:
    """Run PostgreSQL and Valkey, and with ``realm`` the development realm of the project in the working directory.

    Args:
        realm: Run the development realm too.
        postgres_settings: Server settings; by default durability is off, `{}` leaves it on.
        valkey_settings: Directives of `valkey.conf` beyond the usual ones.

    Yields:
        The running set: `.environment()` for the application, `.postgres`, `.valkey` and `.identity` to stop, kill and
        start servers again on the same ports.

    Raises:
        ServiceError: A server does not start.
    """
    with _temporary_folder() as (state, watchdog):
        services = Services(state, watchdog, Path.cwd(), postgres_settings, valkey_settings)
        try:
            services.start((POSTGRES, VALKEY, IDENTITY) if realm else (POSTGRES, VALKEY))
            yield services
        finally:
            services.stop()


@contextmanager
def ephemeral_postgres(settings: Mapping[str, str] = THROW_AWAY) -> Iterator[Postgres]:
    """Run one more PostgreSQL, with an empty database of its own.

    Raises:
        ServiceError: It does not start.
    """
    with _temporary_folder() as (state, watchdog):
        programs = postgres_programs(state.account, state.copies)
        with Postgres(state.path / "postgres", state.account, watchdog, programs, settings=settings) as server:
            yield server


@contextmanager
def ephemeral_valkey(settings: Mapping[str, str] | None = None) -> Iterator[Valkey]:
    """Run one more Valkey, empty.

    Raises:
        ServiceError: It does not start.
    """
    with _temporary_folder() as (state, watchdog):
        program = valkey_program(state.account, state.copies)
        with Valkey(state.path / "valkey", state.account, watchdog, program, settings=settings) as server:
            yield server


@contextmanager
def ephemeral_valkey_cluster(nodes: int = 3) -> Iterator[ValkeyCluster]:
    """Run a Valkey Cluster of that many primaries, all slots served.

    Raises:
        ServiceError: A node does not start, or the cluster does not form.
    """
    with _temporary_folder() as (state, watchdog):
        program = valkey_program(state.account, state.copies)
        servers = [
            Valkey(state.path / f"node{number}", state.account, watchdog, program, settings=cluster_settings())
            for number in range(nodes)
        ]
        with ValkeyCluster(servers) as cluster:
            yield cluster


@contextmanager
def _temporary_folder() -> Iterator[tuple[StateFolder, Watchdog]]:
    with Watchdog() as watchdog:
        state = temporary_state()
        watchdog.remove(state.path)
        try:
            yield state, watchdog
        finally:
            shutil.rmtree(state.path)
