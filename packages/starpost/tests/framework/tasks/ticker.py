"""An application with background tasks that write down what they do; ``create`` is a target for the launcher."""

import asyncio
import json
import os
import tempfile
from enum import IntEnum
from pathlib import Path

import msgspec
from litestar import Litestar

from starpost import BackgroundTask, Domain, Lease, Publisher
from starpost.composition.application import create_app
from starpost.server import DrainSignal
from starpost.settings import Settings
from tests.specimen import ACTIONS_FILE


class NoID(IntEnum):
    """This application has no packets."""


def note(line: str) -> None:
    with Path(os.environ["TICKER_JOURNAL"]).open("a") as journal:
        journal.write(f"{line}\n")


async def in_every_worker(publisher: Publisher) -> None:
    note(f"every {os.getpid()} {type(publisher).__name__}")
    await asyncio.Event().wait()


async def in_one_worker(lease: Lease) -> None:
    note(f"one {os.getpid()} {lease.fence}")
    try:
        await asyncio.Event().wait()
    finally:
        note(f"ended {os.getpid()}")


async def failing() -> None:
    raise LookupError("always")


ticker = Domain(
    name="ticker",
    tasks=[
        BackgroundTask(in_every_worker),
        BackgroundTask(in_one_worker, once_per_cluster=True, lease=4.0),
        BackgroundTask(failing, every=0.1, is_vital=os.environ.get("TICKER_VITAL") == "true"),
    ],
)


def create(drain: DrainSignal) -> Litestar:
    """The application, with the rules of the framework's own routes."""
    table = json.loads(ACTIONS_FILE.read_bytes())
    http = {path: rules for path, rules in table["http"].items() if not path.startswith("/authors")}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "actions.json")
        file.write_text(json.dumps({"roles": table["roles"], "ws": {}, "http": http}))
        settings = msgspec.structs.replace(Settings.load(dotenv=None), actions_file_path=str(file))
        return create_app(settings, drain=drain, domains=[ticker], pkg_ids=NoID, title="Test")
