"""PostgreSQL, Valkey and the development realm without Docker, for `make serve` and the tests.

`attach` holds the one set of the checkout, whose data is kept; the `ephemeral_*` context managers run throw-away
servers. See docs/development-services.md.
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
