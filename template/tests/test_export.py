"""Projects as the function makes them, for different answers; nothing of them is run but ruff and Python's compiler."""

import ast
import io
import json
import re
import subprocess
import sys
import tokenize
import tomllib
from pathlib import Path

import pytest
import yaml

from starpost_dev.checks.check_locks import Lock, faults_of
from starpost_dev.scaffold.removal import EXAMPLE, remove_domain
from template.exporter import answers as questions
from template.exporter.answers import Answers
from template.exporter.export import exported
from template.exporter.formatting import format_python
from template.exporter.tree import EditError, Files, Tree, write_files
from template.tests.conftest import Export

VARIANTS = {
    "defaults": Answers(),
    "24 letters": Answers("Tom's Läden & Söhne", "toms_shops", "abcdefghijklmnopqrstuvwx"),
    "src": Answers("Shop", "shop", "src"),
    "no example": Answers("Shop", "shop", "shop", keep_example=False),
}

FRAMEWORK = re.compile(
    r"starpost(?:_dev|-dev)?(?:\.\w+)+|(?:from|import) starpost(?:_dev)?\b|\bstarpost_dev\b"
    # The variable that the development realm and the real Keycloak fill in a realm file.
    r"|STARPOST_BACKCHANNEL_LOGOUT_URL"
)
"""How an application names the framework."""


@pytest.fixture(params=[*VARIANTS.values()], ids=[*VARIANTS])
def answers(request: pytest.FixtureRequest) -> Answers:
    answers: Answers = request.param
    return answers


@pytest.fixture
def project(export: Export, answers: Answers) -> Files:
    return export(answers)


def written(files: Files, folder: Path) -> Path:
    write_files(folder, files)
    return folder


def test_a_project_has_what_it_needs_and_nothing_else(project: Files, answers: Answers) -> None:
    assert {path.partition("/")[0] for path in project.tree} >= {
        ".ci", ".dockerignore", ".env.example", ".github", ".gitignore", ".pre-commit-config.yaml", "CHANGELOG.md",
        "Makefile", "README.md", "actions.json", "actions.schema.json", answers.module_name, "docker", "migrations",
        "pyproject.toml", "requirements", "scripts", "tests", "vendor",
    }  # fmt: skip
    for name in (
        "LICENSE", "bench", "cookiecutter.json", "copier.yml", "examples", "framework.mk", "hooks", "packages",
        "starpost_checkout.py", "template", "tests/docs", "tests/test_other_servers.py", "tests/test_project.py",
    ):  # fmt: skip
        assert not [path for path in project.tree if path == name or path.startswith(f"{name}/")]
    if answers.module_name != "app":
        assert not [path for path in project.tree if path.startswith("app/")]
    assert ".ci/run" in project.executable


def test_nothing_else_changes_with_the_answers(export: Export) -> None:
    """What a name is written into is known: a new place is a decision."""
    usual, other = export(Answers()), export(Answers("Other", "other", "app"))

    differing = {path for path, content in usual.tree.items() if other.tree[path] != content}

    assert usual.tree.keys() == other.tree.keys()
    assert differing - {"README.md"} == {
        ".env.example", "app/__init__.py", "app/asgi.py", "app/settings.py", "docker/Dockerfile", "docker/compose.yml",
        "docker/keycloak/realm.json", "pyproject.toml", "requirements/dev.lock", "requirements/runtime.lock",
    }  # fmt: skip


def test_an_example_that_is_removed_later_leaves_what_is_made_without_it(export: Export) -> None:
    with_it, without = export(Answers("Shop", "shop", "shop")), export(VARIANTS["no example"])

    removed = Files(remove_domain(with_it.tree, EXAMPLE, "shop").tree, with_it.executable & without.tree.keys())

    assert removed == without


def test_the_same_answers_give_the_same_bytes(
    source: Files, archives: dict[str, Tree], project: Files, answers: Answers
) -> None:
    again = exported(source, answers, archives)
    format_python(again)

    assert again == project


def test_the_source_is_left_as_it_was(source: Files, project: Files) -> None:
    assert b"Starpost" in source.tree["app/asgi.py"]


def test_no_word_of_the_template(project: Files) -> None:
    for path, content in project.tree.items():
        # Of the framework's pages and its dependencies' dependencies.
        if path.startswith(("vendor/", "requirements/")):
            continue
        text = content.decode()
        assert "cookiecutter" not in text.lower(), path
        assert "jinja" not in text.lower(), path


def test_without_the_example_nothing_names_it(export: Export) -> None:
    project = export(VARIANTS["no example"])
    example = re.compile(r"\bauthors?\b|\bbooks?\b|author[-_]|book[-_]", re.IGNORECASE)

    for path, content in project.tree.items():
        assert not example.search(path)
        # The framework's own pages explain it by examples.
        if not path.startswith("vendor/"):
            assert not example.search(content.decode()), path
    assert set(json.loads(project.tree["actions.json"])) >= {"roles", "ws", "http", "topics"}


@pytest.mark.parametrize("folder", ["module", "tests/", "docker/", ".env.example", "actions.json", "migrations/"])
def test_the_framework_is_named_as_a_package_alone(project: Files, answers: Answers, folder: str) -> None:
    folder = f"{answers.module_name}/" if folder == "module" else folder
    for path, content in project.tree.items():
        if path.startswith(folder):
            for line in content.decode().splitlines():
                assert "starpost" not in FRAMEWORK.sub("", line).lower(), f"{path}: {line}"


def test_every_name_is_the_projects(project: Files, answers: Answers) -> None:
    slug = answers.project_slug
    realm = json.loads(project.tree["docker/keycloak/realm.json"])
    assert (realm["realm"], realm["displayName"]) == (slug, f"{answers.project_name} (development)")
    assert [client["clientId"] for client in realm["clients"]] == [
        slug,
        f"{slug}-service",
        f"{slug}-brief",
        "other-app",
    ]
    assert realm["users"][0]["realmRoles"][0] == f"default-roles-{slug}"
    compose = yaml.safe_load(project.tree["docker/compose.yml"])
    assert compose["name"] == slug
    environment = compose["services"]["app"]["environment"]
    assert {environment[name] for name in ("KEYCLOAK_REALM", "KEYCLOAK_CLIENT_ID", "DB_NAME", "DB_USER")} == {slug}
    assert {value for name, value in compose["services"]["postgres"]["environment"].items()} == {slug}
    assert compose["services"]["app"]["command"] == ["python", "-m", answers.module_name]
    example = dict(re.findall(r"^# ([A-Z_]+)=(.*)$", project.text(".env.example"), re.MULTILINE))
    names = ("KEYCLOAK_REALM", "KEYCLOAK_CLIENT_ID", "REDIS_PREFIX", "DB_NAME", "DB_USER")
    assert {example[name] for name in names} == {slug}
    pyproject = tomllib.loads(project.text("pyproject.toml"))
    assert (pyproject["project"]["name"], pyproject["tool"]["starpost"]["module"]) == (slug, answers.module_name)
    module = ast.parse(project.text(f"{answers.module_name}/asgi.py"))
    title = next(ast.literal_eval(node.value) for node in module.body if isinstance(node, ast.Assign))
    assert title == answers.project_name
    assert f"-t {slug} ." in project.text("docker/Dockerfile")


def test_no_module_imports_another_name_of_the_package(project: Files, answers: Answers) -> None:
    wanted = {answers.module_name}
    for path in project.tree:
        if path.endswith(".py") and not path.startswith("vendor/"):
            tree = ast.parse(project.text(path))
            found = {
                node.module.partition(".")[0]
                for node in ast.walk(tree)
                if isinstance(node, ast.ImportFrom) and node.module
            }
            assert "app" not in found - wanted, path


def test_formatter_and_style_have_nothing_to_say(project: Files, tmp_path: Path) -> None:
    root = written(project, tmp_path)
    for command in (["format", "--check"], ["check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", "."],
            cwd=root, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout


def test_a_project_is_small(project: Files, answers: Answers) -> None:
    folders = (f"{answers.module_name}/", "tests/", "scripts/")
    lines = sum(
        content.count(b"\n")
        for path, content in project.tree.items()
        if path.startswith(folders) and path.endswith(".py")
    )

    assert lines < 4000


def test_the_locks_fit(project: Files, tmp_path: Path) -> None:
    root = written(project, tmp_path)
    locks = [Lock(root / "requirements" / name) for name in ("runtime.lock", "dev.lock")]

    assert list(faults_of(tomllib.loads(project.text("pyproject.toml")), [], *locks)) == []
    assert [lock.vendored for lock in locks] == [{"starpost"}, {"starpost", "starpost-dev"}]
    for name in ("cookiecutter", "copier", "kosoku", "tomlkit"):
        assert name not in locks[1].versions
    for lock in locks:
        assert {"aiofastnet", "picows"} <= lock.versions.keys(), "the second door"
    text = project.text("requirements/dev.lock")
    assert not re.search(r"\bapp \(|packages/|kosoku|cookiecutter", text)


def test_every_link_of_the_pages_leads_somewhere(project: Files, tmp_path: Path) -> None:
    root = written(project, tmp_path)
    for page in root.rglob("*.md"):
        for target in re.findall(r"\]\((?!\w+:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(root)}: {target}"


def test_yaml_and_json_are_read(project: Files) -> None:
    for path, content in project.tree.items():
        if path.endswith(".json"):
            json.loads(content)
        elif path.endswith((".yml", ".yaml")):
            yaml.safe_load(content)


def test_the_image_gets_what_it_copies(project: Files) -> None:
    let_in = {line[1:] for line in project.text(".dockerignore").splitlines() if line.startswith("!")}
    copied = set(re.findall(r"^COPY (?!--from)(\S+) ", project.text("docker/Dockerfile"), re.MULTILINE))

    assert copied == let_in
    for name in copied:
        assert name.rstrip("/") in project.tree or any(path.startswith(f"{name.rstrip('/')}/") for path in project.tree)


def test_a_source_that_is_not_as_expected_is_named(source: Files, archives: dict[str, Tree]) -> None:
    changed = Files(dict(source.tree), source.executable)
    changed.write("docker/compose.yml", changed.text("docker/compose.yml").replace("KEYCLOAK_REALM", "REALM"))

    with pytest.raises(EditError, match=r"docker/compose\.yml .*KEYCLOAK_REALM"):
        exported(changed, Answers(), archives)


def test_what_stands_in_the_way_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("mine")
    (tmp_path / "README.md").symlink_to("elsewhere")

    with pytest.raises(EditError, match=r"README\.md is in the way"):
        write_files(tmp_path, Files({"a.txt": b"", "README.md": b"theirs"}))

    assert (tmp_path / "elsewhere").read_text() == "mine"
    assert not (tmp_path / "a.txt").exists()


def test_answers_that_were_given_are_kept_as_a_file_that_yaml_reads() -> None:
    text = questions.render(Answers("Tom's: #1", "toms"), "v1.0.0", "/somewhere")

    assert yaml.safe_load(text)["project_name"] == "Tom's: #1"


def test_no_source_that_runs_has_a_brace_of_jinja(source: Files) -> None:
    for path in source.tree:
        if path.endswith(".py") and path.startswith(("app/", "tests/", "scripts/", "hooks/", "migrations/")):
            for token in tokenize.generate_tokens(io.StringIO(source.text(path)).readline):
                assert not re.search(r"\{\{ *cookiecutter|\{%", token.string), f"{path}: {token.line}"
