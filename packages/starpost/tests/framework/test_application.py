"""What ``create_app`` puts together, and what it refuses; all faults at once, no service running."""

import json
from collections.abc import AsyncGenerator, Callable
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar, get
from litestar.di import Provide
from litestar.types import ControllerRouterHandler

from starpost import Domain, PackageRouter
from starpost.composition.application import create_app
from starpost.composition.blueprint import find_domains
from starpost.packets import DeclarationError
from tests.framework.packets.caller import numbers_of
from tests.specimen import ACTIONS_FILE
from tests.specimen import domains as domains_package
from tests.specimen.asgi import create
from tests.specimen.pkg_ids import PkgID
from tests.specimen.settings import Settings

TABLE = json.loads(ACTIONS_FILE.read_bytes())
OWN_PATHS = {path: methods for path, methods in TABLE["http"].items() if not path.startswith("/authors")}

Make = Callable[..., Litestar]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """An application of these domains and rules."""

    def make_app(
        *domains: Domain,
        numbers: type[IntEnum],
        ws: dict[str, Any] | None = None,
        http: dict[str, Any] | None = None,
        topics: dict[str, Any] | None = None,
    ) -> Litestar:
        path = tmp_path / "actions.json"
        table = {"roles": TABLE["roles"], "ws": ws or {}, "http": OWN_PATHS | (http or {}), "topics": topics or {}}
        path.write_text(json.dumps(table))
        settings = Settings.from_strings({"ACTIONS_FILE_PATH": str(path)})
        return create_app(settings, domains=domains, pkg_ids=numbers, title="Test")

    return make_app


def domain_of(*numbers: int, name: str = "one", **parts: Any) -> Domain:
    """A domain with a packet for each number."""
    router = PackageRouter()

    @router.register(*numbers)
    async def handler() -> dict[str, int]:
        return {}

    return Domain(name=name, packets=[router] if numbers else [], **parts)


def faults_of(make: Make, *domains: Domain, **parts: Any) -> list[str]:
    with pytest.raises(DeclarationError) as refused:
        make(*domains, **parts)
    return list(refused.value.faults)


def test_the_application_as_it_is() -> None:
    app = create(Settings.from_strings({}))
    blueprint = app.state.blueprint
    assert [domain.name for domain in blueprint.domains] == [domain.name for domain in find_domains(domains_package)]
    pushed = {topic.pkg_id for topic in blueprint.topics.all}
    assert {number for number in blueprint.registry if number > 0} == {int(number) for number in PkgID} - pushed
    assert not blueprint.faults


def test_every_domain_is_found_by_itself() -> None:
    assert [domain.name for domain in find_domains(domains_package)] == ["authors"]


def test_a_folder_that_exposes_no_domain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("unfinished_one", ""), ("unfinished_two", "domain = 'x'\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(text)
    monkeypatch.setattr(domains_package, "__path__", [*domains_package.__path__, str(tmp_path)])
    with pytest.raises(DeclarationError) as refused:
        find_domains(domains_package)
    assert list(refused.value.faults) == [
        "tests.specimen.domains.unfinished_one: exposes no `domain = Domain(...)`",
        "tests.specimen.domains.unfinished_two: exposes no `domain = Domain(...)`",
    ]


def test_two_applications_in_one_process(make: Make) -> None:
    one = make(domain_of(1), numbers=numbers_of(ONE=1), ws={"1": "admin"})
    two = make(domain_of(1, 2), numbers=numbers_of(FIRST=1, SECOND=2), ws={"1": "authenticated", "2": "admin"})
    assert [route.name for route in one.state.blueprint.registry.values() if route.pkg_id > 0] == ["ONE"]
    assert [route.name for route in two.state.blueprint.registry.values() if route.pkg_id > 0] == ["FIRST", "SECOND"]
    nobody = frozenset[str]()
    assert one.state.blueprint.table.packets_for(nobody) == set()
    assert two.state.blueprint.table.packets_for(nobody) == {1}


def test_rules_and_code_are_held_against_each_other(make: Make) -> None:
    """Faults of the packets, of the table and of both together come in one go."""

    @get("/open")
    async def open_route() -> dict[str, int]:
        return {}

    routes: list[ControllerRouterHandler] = [open_route]
    faults = faults_of(
        make,
        domain_of(1, 2, 4, routes=routes),
        numbers=numbers_of(ONE=1, TWO=2, THREE=3, FOUR=4),
        ws={"1": "nobody", "4": "admin", "9": "admin"},
        http={"/gone": {"GET": "admin"}},
        topics={"none": "admin"},
    )
    for expected in (
        "THREE = 3: no handler",
        "undeclared role 'nobody'",
        "packet 2 TWO has no rule",
        "there is no packet 9",
        "GET /open has no rule",
        "there is no route GET /gone",
        "there is no topic none",
    ):
        assert len([fault for fault in faults if expected in fault]) == 1, (expected, faults)
    assert not any("packet 4" in fault for fault in faults)


def test_domains_cannot_have_each_others_numbers(make: Make) -> None:
    faults = faults_of(make, domain_of(1), domain_of(1, name="two"), numbers=numbers_of(ONE=1), ws={"1": "admin"})
    assert len(faults) == 1
    assert "pkg_id 1 is already handled at packages/starpost/tests/framework/test_application.py:" in faults[0]


def test_domains_may_use_each_others_dependencies(make: Make) -> None:
    async def outer(inner: int) -> AsyncGenerator[int, None]:
        yield inner + 1

    router = PackageRouter()

    @router.register(1)
    async def handler(outer: int) -> dict[str, int]:
        return {"n": outer}

    make(
        Domain(name="one", packets=[router], dependencies={"outer": Provide(outer)}),
        domain_of(name="two", dependencies={"inner": Provide(lambda: 1, sync_to_thread=False)}),
        numbers=numbers_of(ONE=1),
        ws={"1": "admin"},
    )


@pytest.mark.parametrize("name", ["statements", "unit_of_work", "session", "request", "principal", "connection"])
def test_a_dependency_cannot_hide_another(make: Make, name: str) -> None:
    provide = {name: Provide(lambda: 1, sync_to_thread=False)}
    (fault,) = faults_of(make, domain_of(dependencies=provide), numbers=numbers_of())
    assert f"dependency {name!r} of one is already " in fault


def test_a_dependency_of_two_domains(make: Make) -> None:
    provide = {"it": Provide(lambda: 1, sync_to_thread=False)}
    domains = (domain_of(name="one", dependencies=provide), domain_of(name="two", dependencies=provide))
    assert faults_of(make, *domains, numbers=numbers_of()) == ["dependency 'it' of two is already one's"]


def test_a_table_that_is_not_there_hides_no_other_fault(tmp_path: Path) -> None:
    settings = Settings.from_strings({"ACTIONS_FILE_PATH": str(tmp_path / "none.json")})
    with pytest.raises(DeclarationError) as refused:
        create_app(settings, domains=[domain_of(1)], pkg_ids=numbers_of(ONE=1, TWO=2), title="Test")
    assert [fault.partition(": ")[2] for fault in refused.value.faults] == [
        "TWO = 2: no handler, and no topic pushes it",
        "$: cannot be read: No such file or directory",
    ]
