"""The domain that ``docs/coming-from-fastapi.md`` writes, served; ``create`` is a target for the launcher."""

import json
import tempfile
from pathlib import Path

import msgspec
from litestar import Litestar

from starpost import create_app
from starpost.server import DrainSignal
from starpost.settings import Settings
from tests.docs.pages import run
from tests.specimen import ACTIONS_FILE

PAGE = "docs/coming-from-fastapi.md"


def create(drain: DrainSignal) -> Litestar:
    """The page's application, with rules for its role."""
    page = run(PAGE)
    table = json.loads(ACTIONS_FILE.read_bytes())
    http = {path: rules for path, rules in table["http"].items() if not path.startswith("/authors")}
    rules = {
        "roles": ["editor", "admin"],
        "ws": {"1": "editor", "2": "editor", "3": "editor"},
        "http": http | {"/tickets": {"GET": "editor", "POST": "editor"}},
        "topics": {"tickets": "editor"},
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "actions.json")
        file.write_text(json.dumps(rules))
        settings = msgspec.structs.replace(Settings.load(dotenv=None), actions_file_path=str(file))
        return create_app(settings, drain=drain, domains=[page.domain], pkg_ids=page.PkgID, title="Test")
