"""The application of ``notes``; ``create`` is a target for the launcher."""

import json
import tempfile
from pathlib import Path

import msgspec
from litestar import Litestar

from starpost import DrainSignal, create_app
from tests.framework.notes import NoteID, Settings, domain
from tests.specimen import ACTIONS_FILE

ROUTES = {
    "/notes/greeting": {"GET": "public"},
    "/notes/node": {"GET": "public"},
    "/notes/session": {"GET": "authenticated"},
    "/notes/user": {"GET": "authenticated"},
    "/notes/remembered": {"GET": "public"},
}


def create(drain: DrainSignal) -> Litestar:
    """The application, from the environment."""
    table = json.loads(ACTIONS_FILE.read_bytes())
    http = {path: rules for path, rules in table["http"].items() if not path.startswith("/authors")} | ROUTES
    topics = {"greetings": "authenticated", "quiet": "authenticated"}
    ws = {"1": "authenticated", "2": "authenticated"}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "actions.json")
        file.write_text(json.dumps({"roles": table["roles"], "ws": ws, "http": http, "topics": topics}))
        settings = msgspec.structs.replace(Settings.load(dotenv=None), actions_file_path=str(file))
        return create_app(settings, drain=drain, domains=[domain], pkg_ids=NoteID, title="Notes")
