"""The files around the code: what they promise is so."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml

from app.settings import Settings
from starpost.rbac.schema import actions_schema
from starpost_dev.checks import check, check_locks, env_example
from starpost_dev.checks.check_locks import Lock, faults_of
from starpost_dev.layout import REALM_FILE

ROOT = Path.cwd()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FIELDS = {field.name.upper(): field for field in msgspec.structs.fields(Settings)}


def test_the_settings_example_is_fresh_and_loads_to_the_defaults() -> None:
    text = env_example.FILE.read_text()
    assert text == env_example.render(Settings)
    variables = dict(line[2:].split("=", 1) for line in text.splitlines() if re.match(r"# [A-Z_]+=", line))
    assert set(variables) == set(FIELDS)
    assert Settings.from_strings(variables) == Settings()


def test_the_permission_table_has_its_schema_beside_it() -> None:
    schema = json.loads((ROOT / "actions.schema.json").read_bytes())
    assert schema == actions_schema(), "write it anew: python -m scripts.check_actions --write-schema"
    table = json.loads((ROOT / "actions.json").read_bytes())
    jsonschema.Draft202012Validator(schema).validate(table)
    assert (ROOT / table["$schema"]).resolve() == ROOT / "actions.schema.json"


def test_the_realm_fits_the_permission_table() -> None:
    done = subprocess.run([sys.executable, "-m", "scripts.check_realm", "--file", str(REALM_FILE)], check=False)
    assert done.returncode == 0


def test_no_file_names_a_variable_that_does_not_exist() -> None:
    """In the pages and the containers' files, whatever looks like one of ours is one."""
    ours = {name.partition("_")[0] for name in FIELDS if "_" in name}
    for path in [ROOT / "README.md", ROOT / "docs/deployment.md", ROOT / "docs/observability.md"]:
        for name in re.findall(r"`([A-Z]+(?:_[A-Z]+)+)(?:=[^`]*)?`", path.read_text()):
            if name.partition("_")[0] in ours:
                assert name in FIELDS, f"{path.name}: {name}"
    for service in ("app", "migrate"):
        assert set(compose()["services"][service]["environment"]) <= set(FIELDS)


def compose() -> dict[str, Any]:
    """The Compose file; YAML's merge keys resolved."""
    content: dict[str, Any] = yaml.safe_load((ROOT / "docker/compose.yml").read_text())
    return content


def test_the_compose_file_starts_what_exists() -> None:
    services = compose()["services"]
    settings = Settings.from_strings(services["app"]["environment"])
    assert settings.db_host in services
    assert settings.redis_ip in services
    assert settings.keycloak_base_url == f"http://keycloak:{services['keycloak']['environment']['KC_HTTP_PORT']}"
    assert settings.keycloak_public_url == services["keycloak"]["environment"]["KC_HOSTNAME"]
    postgres = services["postgres"]["environment"]
    assert (settings.db_user, settings.db_password, settings.db_name) == tuple(
        postgres[name] for name in ("POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB")
    )
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        for mount in service.get("volumes", []):
            source = mount.partition(":")[0]
            assert source in compose()["volumes"] or (ROOT / "docker" / source).exists()
    grace = float(services["app"]["stop_grace_period"].removesuffix("s"))
    assert grace > settings.drain_timeout + settings.drain_spread + 11


def test_no_port_is_published_on_all_interfaces() -> None:
    published = [port for service in compose()["services"].values() for port in service.get("ports", [])]
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    for command in re.findall(r"^docker run .*", "\n".join(page.read_text() for page in pages), re.MULTILINE):
        published += re.findall(r"(?:-p|--publish)[ =](\S+)", command)
    assert len(published) == 4
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_the_image_gets_what_it_copies() -> None:
    dockerfile = (ROOT / "docker/Dockerfile").read_text()
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {match[1] for match in re.finditer(r"^COPY (?!--from)(\S+) ", dockerfile, re.MULTILINE)}
    assert copied == let_in
    for name in copied:
        assert (ROOT / name).exists()
    # What developers run is neither copied nor locked there.
    assert not any("starpost-dev" in line or "dev.lock" in line for line in dockerfile.splitlines())


def test_what_is_fetched_for_a_build_is_named_by_its_content() -> None:
    """Images by digest, actions by commit, uv by the hashes of its files: a tag may be moved to something else."""
    images = re.findall(r"^FROM (\S+)", (ROOT / "docker/Dockerfile").read_text(), re.MULTILINE)
    images += [service["image"] for service in compose()["services"].values() if "image" in service]
    assert len(images) == 5
    by_tag = [image for image in images if not re.search(r":[\w.-]+@sha256:[0-9a-f]{64}$", image)]
    assert [image.partition(":")[0] for image in by_tag] == ["keycloak/keycloak"], "the reason stands beside it"
    workflows = "\n".join(path.read_text() for path in (ROOT / ".github/workflows").iterdir())
    actions = re.findall(r"uses: (.+)", workflows)
    assert len(actions) >= 3
    assert [action for action in actions if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v[\d.]+", action)] == []
    uv = Lock(ROOT / "requirements" / "uv.txt")
    assert (set(uv.versions), uv.without_hash) == ({"uv"}, [])
    for name in ("docker/Dockerfile", "Makefile"):
        assert re.search(r"--require-hashes --requirement requirements/uv\.txt", (ROOT / name).read_text())


def test_the_locks_fit_the_project() -> None:
    assert list(faults_of(PROJECT, check_locks.workspace_members(), *locks())) == []


def locks() -> tuple[Lock, Lock]:
    """The two files."""
    folder = ROOT / "requirements"
    return Lock(folder / "runtime.lock"), Lock(folder / "dev.lock")


def test_a_stale_lock_is_noticed() -> None:
    runtime, dev = locks()
    starpost, *others = check_locks.workspace_members()
    starpost["project"]["dependencies"] = [
        *(text for text in starpost["project"]["dependencies"] if not text.startswith("structlog")),
        "msgspec>=99",
        "quart",
    ]
    runtime.without_hash.append("asyncpg")
    dev.versions["redis"] = "0.1"
    faults = list(faults_of(PROJECT, [starpost, *others], runtime, dev))
    for expected in (
        "runtime.lock: quart is missing",
        "runtime.lock: structlog is no longer asked for",
        "runtime.lock: asyncpg has no hash",
        "dev.lock: quart is missing",
    ):
        assert expected in faults
    assert any(fault.startswith("runtime.lock: msgspec") for fault in faults)
    assert any(fault.startswith("redis:") for fault in faults)
    # What `uv run` would install beside the lock.
    assert "constraint-dependencies: redis 0.1 is there or in dev.lock, not in both" in faults


def test_the_locks_name_no_address() -> None:
    for name in ("runtime.lock", "dev.lock"):
        assert "://" not in (ROOT / "requirements" / name).read_text()


def test_make_lists_every_target_once() -> None:
    make = shutil.which("make") or "make"
    listed = subprocess.run([make, "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert listed.stderr == ""
    names = re.findall(r"^  make (\S+)", listed.stdout, re.MULTILINE)
    makefiles = [ROOT / "Makefile", *ROOT.glob("*.mk")]
    phony = [name for file in makefiles for name in re.findall(r"^\.PHONY: (\S+)$", file.read_text(), re.MULTILINE)]
    assert sorted(names) == sorted(phony)
    readme = (ROOT / "README.md").read_text()
    assert set(re.findall(r"`make (?:-s )?([a-z-]+)", readme)) <= set(names)


def test_the_order_of_the_test_files_names_what_exists(pytestconfig: pytest.Config) -> None:
    longest_first = pytestconfig.getini("longest_first")
    assert longest_first
    assert len(set(longest_first)) == len(longest_first)
    for name in longest_first:
        assert (ROOT / name).is_file()


def test_every_link_of_the_pages_leads_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!\w+:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_all_checks_run_although_one_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(check, "CHECKS", {"bad": ("no_such_module",), "good": ("this",)})
    monkeypatch.setattr(sys, "argv", ["check"])
    assert check.main() == 1
    output = capsys.readouterr().out
    assert "FAILED  bad" in output
    assert "No module named no_such_module" in output
    assert "ok  good" in output
    assert "Beautiful" not in output
    monkeypatch.setattr(sys, "argv", ["check", "good"])
    assert check.main() == 0
    monkeypatch.setattr(sys, "argv", ["check", "other"])
    assert check.main() == 2
