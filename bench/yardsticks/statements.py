"""The SQL of the yardsticks: the same work as the application's, on a raw asyncpg pool."""

from typing import Any, Final

import asyncpg
import msgspec

from starpost.settings import Settings

PAGE: Final = (
    "SELECT id, name, created_at, (SELECT count(*) FROM bench_author) AS total "
    "FROM bench_author ORDER BY id LIMIT $1 OFFSET $2"
)
CREATE: Final = "INSERT INTO bench_author (name) VALUES ($1) RETURNING id, name, created_at"


def make_pool(settings: Settings) -> "asyncpg.Pool[asyncpg.Record]":
    """Asyncpg's own pool with its defaults, of the size of the application's. Opened as a context."""
    return asyncpg.create_pool(
        host=settings.db_host,
        port=settings.db_port,
        user=settings.db_user,
        password=str(settings.db_password),
        database=settings.db_name,
        min_size=settings.db_pool_size,
        max_size=settings.db_pool_size + settings.db_max_overflow,
    )


async def read_page(pool: "asyncpg.Pool[asyncpg.Record]", page: int, per_page: int) -> tuple[list[Any], dict[str, int]]:
    """Rows as dicts, and the meta."""
    records = await pool.fetch(PAGE, per_page, (page - 1) * per_page)
    total = records[0]["total"] if records else 0
    rows = [{"id": record["id"], "name": record["name"], "created_at": record["created_at"]} for record in records]
    return rows, {"page": page, "per_page": per_page, "total": total, "pages": -(-total // per_page)}


def encode_reply(request: dict[str, Any], data: Any, meta: dict[str, int] | None = None) -> str:
    """A reply packet."""
    reply = {"pkg_id": request["pkg_id"], "req_id": request["req_id"], "status_code": 0, "data": data}
    if meta is not None:
        reply["meta"] = meta
    return msgspec.json.encode(reply).decode()
