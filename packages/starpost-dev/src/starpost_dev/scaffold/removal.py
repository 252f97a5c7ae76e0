"""A domain taken out of an application: a function from the files to the files without it.

Nothing is imported but the standard library, and nothing of the application: programs that have no environment of the
project use this, too.

    removal = remove_domain(tree, "authors", "app")
    removal.tree, removal.said, removal.left
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final

from starpost_dev.scaffold import reading, realm_roles, revisions
from starpost_dev.scaffold.errors import ScaffoldError
from starpost_dev.scaffold.json_text import JSONText
from starpost_dev.scaffold.revisions import Revision

EXAMPLE: Final = "authors"
"""Domain that a new project has, so that there is something to read."""

ACTIONS: Final = "actions.json"
REALM: Final = "docker/keycloak/realm.json"
RECORD: Final = "tests/contract/pkg_ids.json"
PAGES: Final = ("docs/guide/example.md", "docs/example.md")
"""Page about the example: in the repository of the framework, and in a project."""

ANSWERS: Final = ".copier-answers.yml"
"""Answers that a project was generated with, and is updated with."""

_EVERYBODY: Final = {"public", "authenticated"}
_NOT_SEARCHED: Final = ("LICENSE", "CHANGELOG.md", "requirements/", "vendor/")
_PART: Final = "<!-- domain {0} -->.*?<!-- end of domain {0} -->\n?"


@dataclass
class Removal:
    """Outcome of a removal.

    Args:
        tree: Files that are left, by their paths.
        said: Sentences about what went.
        left: Places that still name the domain, or something of it.
        undone: Revisions whose files went: a database that has them must be brought back before.
        numbers: Names of the packets' numbers that went.
        dropping: Path of the migration that drops the tables, where the domain's own migrations stay.
    """

    tree: dict[str, bytes]
    said: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    undone: list[Revision] = field(default_factory=list)
    numbers: list[str] = field(default_factory=list)
    dropping: str | None = None


def remove_domain(
    tree: Mapping[str, bytes], domain: str, module: str = "app", *, keep_migrations: bool = False
) -> Removal:
    """Remove a domain: code, tests, numbers, rules, roles that nothing else uses, migrations, pages.

    Args:
        tree: Files of the application, by their paths from its root, with ``/``.
        domain: Name of its folder.
        module: Package of the application.
        keep_migrations: Whether databases exist that have the domain's tables. A migration that drops them is added
            then, and none goes; so it is, too, where later migrations come after the domain's.

    Raises:
        ScaffoldError: There is no such domain, or something else needs it; the text says what.
    """
    return _Remover(tree, domain, module, keep_migrations=keep_migrations).run()


class _Remover:
    def __init__(self, tree: Mapping[str, bytes], domain: str, module: str, *, keep_migrations: bool) -> None:
        self._domain, self._module, self._keep_migrations = domain, module, keep_migrations
        self._folder, self._tests = f"{module}/domains/{domain}/", f"tests/domains/{domain}/"
        self._removal = Removal(dict(tree))
        own = {path for path in tree if path.startswith((self._folder, self._tests))}
        if not any(path.startswith(self._folder) for path in own):
            raise ScaffoldError(f"there is no domain {domain!r} in {module}/domains")
        self._own = {path: _parse(path, tree[path]) for path in own if path.endswith(".py")}
        self._others = {
            path: _parse(path, tree[path])
            for path in tree
            if path.endswith(".py") and path not in own and path.startswith((f"{module}/", "tests/", "scripts/"))
        }
        self._code = [self._own[path] for path in sorted(self._own) if path.startswith(self._folder)]
        self._classes = self._models(self._own)
        self._revisions = revisions.read_revisions(tree)
        self._tables = {table for each in self._revisions for table in each.tables} & set(self._classes.values())
        self._numbers: dict[str, int] = {}
        self._roles: list[str] = []
        self._gone_pages: list[str] = []

    def run(self) -> Removal:
        self._refuse_what_others_need()
        self._remove_files()
        self._remove_numbers()
        self._remove_rules()
        self._remove_roles()
        self._remove_migrations()
        self._remove_words()
        self._find_what_is_left()
        return self._removal

    def _say(self, text: str) -> None:
        self._removal.said.append(text)

    def _models(self, trees: Mapping[str, ast.Module]) -> dict[str, str]:
        """Tables by their classes."""
        modules = (tree for path, tree in trees.items() if re.search(r"/models(/\w+)?\.py$", path))
        return {name: table for tree in modules for name, table in reading.classes_of(tree).items()}

    def _refuse_what_others_need(self) -> None:
        package, needs = f"{self._module}.domains.{self._domain}", []
        for path, tree in sorted(self._others.items()):
            if not path.startswith(f"{self._module}/"):
                continue
            if any(f"{name}.".startswith(f"{package}.") for name in reading.imports_of(tree)):
                needs.append(f"{path} imports {package}")
            columns = {text for text in reading.strings_of(tree) if text.partition(".")[0] in self._tables}
            if columns and "models" in path:
                needs.append(f"{path} refers to {min(columns)}")
        if needs:
            raise ScaffoldError(f"the domain {self._domain!r} is needed:\n" + "\n".join(needs))

    def _remove_files(self) -> None:
        pages = PAGES if self._domain == EXAMPLE else ()
        for path in list(self._removal.tree):
            if path.startswith((self._folder, self._tests)) or path in pages:
                del self._removal.tree[path]
                self._gone_pages += [path] if path in pages else []
        self._say(f"removed {self._folder} and {self._tests}")
        self._removal.said += [f"removed {page}" for page in self._gone_pages]

    def _remove_numbers(self) -> None:
        path = f"{self._module}/pkg_ids.py"
        used = {name for tree in self._own.values() for name in reading.numbers_of(tree)}
        used -= {name for tree in self._others.values() for name in reading.numbers_of(tree)}
        if path not in self._removal.tree or not used:
            return
        text = self._removal.tree[path].decode()
        lines, members = text.splitlines(keepends=True), _members(ast.parse(text))
        gone = [node for name, node in members.items() if name in used]
        self._numbers = {name: ast.literal_eval(members[name].value) for name in members if name in used}
        for node in sorted(gone, key=lambda node: -node.lineno):
            del lines[node.lineno - 1 : node.end_lineno]
        body = next(node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef)).body
        if len(body) == len(gone):
            lines.append("    pass\n")
        self._removal.tree[path] = ("".join(lines).rstrip() + "\n").encode()
        if RECORD in self._removal.tree:
            record = JSONText(self._removal.tree[RECORD].decode())
            for name in self._numbers:
                if record.has((name,)):
                    record.remove((name,))
            self._removal.tree[RECORD] = record.text.encode()
        self._removal.numbers = list(self._numbers)
        self._say(f"removed the numbers {', '.join(self._numbers)}")

    def _remove_rules(self) -> None:
        table = JSONText(self._removal.tree[ACTIONS].decode())
        elsewhere = [tree for path, tree in self._others.items() if path.startswith(f"{self._module}/")]
        paths = reading.paths_of(self._code) - reading.paths_of(elsewhere)
        topics = {name for tree in self._code for name in reading.topics_of(tree)}
        places: list[tuple[str, ...]] = [("ws", str(number)) for number in self._numbers.values()]
        places += [("http", path) for path in sorted(paths)] + [("topics", name) for name in sorted(topics)]
        before = _roles_of(table.value)
        gone = [place for place in places if table.has(place)]
        for place in gone:
            table.remove(place)
        unused = before - _roles_of(table.value)
        unused -= {text for tree in elsewhere for text in reading.strings_of(tree)}
        self._roles = [role for role in table.value["roles"] if role in unused]
        for role in self._roles:
            table.remove(("roles", table.value["roles"].index(role)))
        self._removal.tree[ACTIONS] = table.text.encode()
        counts = {kind: sum(place[0] == kind for place in gone) for kind in ("ws", "http", "topics")}
        self._say("removed the rules of {ws} packets, {http} paths and {topics} topics".format(**counts))

    def _remove_roles(self) -> None:
        if not self._roles:
            return
        if REALM in self._removal.tree:
            realm = self._removal.tree[REALM].decode()
            self._removal.tree[REALM] = realm_roles.remove_roles(realm, self._roles).encode()
        self._say(f"removed the roles {', '.join(self._roles)}, which nothing uses any more")

    def _remove_migrations(self) -> None:
        own = [each for each in self._revisions if each.tables & self._tables]
        if not own:
            return
        kept = [each for each in self._revisions if each not in own]
        mixed = [each.path for each in own if not each.tables <= self._tables]
        heads = revisions.heads_of(self._revisions)
        if mixed or len(heads) != 1 or any("op.drop" not in each.downgrade for each in own if "create" in each.upgrade):
            paths = ", ".join(mixed or [each.path for each in own])
            self._say(f'left {paths}: write one that drops the tables, by make migration M="Drop {self._domain}"')
            return
        names = {each.name for each in own}
        if not self._keep_migrations and not any(names & set(each.after) for each in kept):
            for each in own:
                del self._removal.tree[each.path]
                self._say(f"removed {each.path}")
            self._removal.undone = own
            return
        name = revisions.next_name(self._revisions, self._domain)
        path = f"{revisions.FOLDER}/{name}_drop_{self._domain}.py"
        text = revisions.dropping(own, name, heads[0], f"Drop {self._domain}")
        self._removal.tree[path] = text.encode()
        self._removal.dropping = path
        self._say(f"wrote {path}, which drops {', '.join(sorted(self._tables))}; the domain's migrations stay")

    def _remove_words(self) -> None:
        gone = [path for path in (self._folder, self._tests, *self._gone_pages) if path]
        for path, content in self._removal.tree.items():
            text = _decoded(path, content)
            if text is None:
                continue
            edited = text
            if path.endswith(".md"):
                edited = re.sub(_PART.format(self._domain), "", edited, flags=re.DOTALL)
                edited = _without_links(edited, PurePosixPath(path).parent, self._gone_pages)
            if path == "pyproject.toml":
                edited = _without_lines(edited, [rf'\s*"{re.escape(each)}[^"]*",?' for each in gone])
            if path == ANSWERS and self._domain == EXAMPLE:
                # The next update would compare with a project that has the example.
                edited = re.sub(r"^keep_example: true$", "keep_example: false", edited, flags=re.MULTILINE)
            if path == "README.md" or path.startswith("examples/"):
                edited = _without_lines(edited, [rf".*\b{name}\b.*" for name in self._numbers])
            if edited != text:
                self._removal.tree[path] = edited.encode()
                self._say(f"changed {path}")

    def _find_what_is_left(self) -> None:
        words = {self._domain, *self._tables, *self._numbers, *self._roles}
        words |= {name for name, table in self._classes.items() if table in self._tables}
        pattern = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, sorted(words, key=len, reverse=True)))})(?![\w-])")
        for path, content in sorted(self._removal.tree.items()):
            text = None if path == self._removal.dropping else _decoded(path, content)
            if text is not None and not path.startswith((*_NOT_SEARCHED, f"{revisions.FOLDER}/")):
                self._removal.left += [
                    f"{path}:{number}: {line.strip()}"
                    for number, line in enumerate(text.splitlines(), 1)
                    if pattern.search(line)
                ]


def _parse(path: str, content: bytes) -> ast.Module:
    try:
        return ast.parse(content.decode(), path)
    except (SyntaxError, UnicodeDecodeError) as error:
        raise ScaffoldError(f"{path} cannot be read: {error}") from error


def _decoded(path: str, content: bytes) -> str | None:
    """Text of a file; None for one that has none, or that is drawn."""
    if path.endswith(".svg") or b"\0" in content:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def _members(tree: ast.Module) -> dict[str, ast.Assign]:
    """Members of ``PkgID``."""
    return {
        node.targets[0].id: node
        for owner in tree.body
        if isinstance(owner, ast.ClassDef) and owner.name == "PkgID"
        for node in owner.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }


def _roles_of(table: Any) -> set[str]:
    """Roles that a rule of the permission table names."""
    rules = [*table.get("ws", {}).values(), *table.get("topics", {}).values()]
    rules += [rule for methods in table.get("http", {}).values() for rule in methods.values()]
    named: set[str] = set()
    for rule in rules:
        alternatives = rule.get("any", []) if isinstance(rule, dict) else rule
        named |= {alternatives} if isinstance(alternatives, str) else set(alternatives)
    return named - _EVERYBODY


def _without_lines(text: str, patterns: Iterable[str]) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not any(re.fullmatch(each, line.rstrip("\n")) for each in patterns))


def _without_links(text: str, folder: PurePosixPath, pages: Collection[str]) -> str:
    """Without the items and rows that link to a page which is gone."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not (re.match(r"\s*[-*|\d]", line) and _links(line, folder) & set(pages)))


def _links(line: str, folder: PurePosixPath) -> set[str]:
    targets = re.findall(r"\]\(([^)#\s]+)", line)
    return {_normal(folder / target) for target in targets}


def _normal(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)
