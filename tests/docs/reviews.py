"""The domain that ``docs/packets.md`` writes, served; ``create`` is a target for the launcher."""

import json
import tempfile
from pathlib import Path

import msgspec
from litestar import Litestar
from msgspec import Struct

from starpost import OffsetMeta, Page, create_app
from starpost.server import DrainSignal
from starpost.settings import Settings
from tests.docs.pages import run
from tests.specimen import ACTIONS_FILE


class ReviewView(Struct, frozen=True):
    """The reply."""

    id: int
    title: str


class ReviewService:
    """Knows one review."""

    async def page(self, query: Struct) -> Page[ReviewView]:
        return Page([ReviewView(1, f"of {msgspec.structs.asdict(query)}")], OffsetMeta.of(1, 20, 1))


class Index:
    """Opened and closed with each packet."""

    is_open = False

    @classmethod
    async def open(cls) -> "Index":
        index = cls()
        index.is_open = True
        return index

    async def close(self) -> None:
        self.is_open = False


NAMES = {"ReviewView": ReviewView, "ReviewService": ReviewService, "provide_reviews": ReviewService, "Index": Index}


def create(drain: DrainSignal) -> Litestar:
    """The page's application, with the rule that the page names."""
    page = run("docs/packets.md", **NAMES)
    table = json.loads(ACTIONS_FILE.read_bytes())
    http = {path: rules for path, rules in table["http"].items() if not path.startswith("/authors")}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "actions.json")
        file.write_text(json.dumps({"roles": ["author-reader", "admin"], "ws": {"9": "author-reader"}, "http": http}))
        settings = msgspec.structs.replace(Settings.load(dotenv=None), actions_file_path=str(file))
        return create_app(settings, drain=drain, domains=[page.domain], pkg_ids=page.PkgID, title="Test")
