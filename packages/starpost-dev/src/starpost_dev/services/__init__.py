"""PostgreSQL, Valkey and the development realm without Docker, for `make serve` and the tests.

`attach` holds the set of the checkout, which keeps its data; the `ephemeral_*` context managers run throw-away
servers. docs/development-services.md has the details::

    from starpost_dev.services import attach

    with attach() as services:
        subprocess.run(command, env={**os.environ, **services.environment()})
"""

from __future__ import annotations

from starpost_dev.services.client import Attachment, attach
from starpost_dev.services.endpoints import Endpoints
from starpost_dev.services.ephemeral import (
    ephemeral_postgres,
    ephemeral_services,
    ephemeral_valkey,
    ephemeral_valkey_cluster,
)
from starpost_dev.services.errors import ServiceError
from starpost_dev.services.postgres import Postgres
from starpost_dev.services.services import Services
from starpost_dev.services.valkey import Valkey, ValkeyCluster

__all__ = [
    "Attachment",
    "Endpoints",
    "Postgres",
    "ServiceError",
    "Services",
    "Valkey",
    "ValkeyCluster",
    "attach",
    "ephemeral_postgres",
    "ephemeral_services",
    "ephemeral_valkey",
    "ephemeral_valkey_cluster",
]
