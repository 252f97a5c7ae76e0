"""PostgreSQL, Valkey and the development realm without Docker, for `make serve` and the tests.

`attach` holds the one set of the checkout, whose data is kept; the `ephemeral_*` context managers run throw-away
servers. See docs/development-services.md.
"""

from __future__ import annotations

from scripts.devservices.client import Attachment, attach
from scripts.devservices.endpoints import Endpoints
from scripts.devservices.ephemeral import (
    ephemeral_postgres,
    ephemeral_services,
    ephemeral_valkey,
    ephemeral_valkey_cluster,
)
from scripts.devservices.errors import ServiceError
from scripts.devservices.postgres import Postgres
from scripts.devservices.services import Services
from scripts.devservices.valkey import Valkey, ValkeyCluster

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
