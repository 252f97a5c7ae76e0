"""``DB_SSL`` over real TLS, in the meaning of libpq's sslmode."""

from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from starpost.db import Database
from starpost.errors import UnavailableError
from starpost.settings import Settings
from tests.framework.db.tls_front import Authority, TlsFront


@pytest.mark.parametrize(
    ("mode", "ca", "named", "connects"),
    [
        ("prefer", None, "elsewhere.test", True),
        ("require", None, "elsewhere.test", True),
        ("require", "right", "elsewhere.test", True),
        ("require", "wrong", "localhost", False),
        ("verify-ca", "right", "elsewhere.test", True),
        ("verify-ca", "wrong", "localhost", False),
        ("verify-ca", None, "localhost", False),
        ("verify-full", "right", "localhost", True),
        ("verify-full", "right", "elsewhere.test", False),
        ("verify-full", "wrong", "localhost", False),
        ("verify-full", None, "localhost", False),
    ],
)
async def test_modes(settings: Settings, tmp_path: Path, mode: str, ca: str | None, named: str, connects: bool) -> None:
    authorities = {}
    for name in ("right", "wrong"):
        (tmp_path / name).mkdir()
        authorities[name] = Authority(tmp_path / name)
    front = TlsFront(authorities["right"].server(named), settings.db_host, settings.db_port)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(front.serving())
        changes = {"db_ssl": mode, "db_ssl_ca": str(authorities[ca].file) if ca else ""}
        database = Database(msgspec.structs.replace(settings, db_host="localhost", db_port=front.port, **changes))
        stack.push_async_callback(database.close)
        if connects:
            await database.ping()
            assert front.encrypted == 1
        else:
            with pytest.raises(UnavailableError):
                await database.ping()
