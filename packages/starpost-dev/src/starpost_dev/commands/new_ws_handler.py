"""``make new-ws-handlers``: write a packet - its number, structs, handler, rule and a test that sends it.

The command asks for what no option says. It overwrites nothing, and undoes all changes if it fails or is interrupted.
"""

import argparse
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar

from starpost.rbac import ActionsError, ActionTable
from starpost.settings import SettingsError
from starpost_dev.project import Project
from starpost_dev.scaffold import Changes, Packet, ScaffoldError, parse_fields, parse_reply, parse_rule, plan
from starpost_dev.scaffold.packet import KINDS, check_domain, check_name, check_summary, default_summary

INTERRUPTED = 130

T = TypeVar("T")


class Questions:
    """Answers from the options, or from the user where an option is missing.

    Args:
        options: By name; ``None`` where the command line says nothing.
    """

    def __init__(self, options: dict[str, str | None]) -> None:
        self._options = options
        # With these two options given, nothing is asked: missing options have their defaults.
        self._is_asking = options["domain"] is None or options["packet"] is None

    def ask(self, name: str, question: str, parse: Callable[[str], T], default: str | None = None) -> T:
        """Return one answer.

        Raises:
            ScaffoldError: An option is invalid, or there is no terminal to ask on.
        """
        given = self._options[name]
        if given is not None:
            return parse(given)
        if default is not None and not self._is_asking:
            return parse(default)
        hint = f" [{default}]" if default else ""
        while True:
            print(f"{question}{hint}: ", end="", file=sys.stderr, flush=True)
            answer = sys.stdin.readline()
            if not answer:
                print(file=sys.stderr)
                raise ScaffoldError(f"no answer; use --{name}")
            try:
                return parse(answer.strip() or default or "")
            except ScaffoldError as error:
                print(f"  {error}", file=sys.stderr)


def ask_for_packet(options: dict[str, str | None], roles: Sequence[str]) -> Packet:
    """Return the packet to write, from options and answers."""
    questions = Questions(options)
    kinds = ", ".join(KINDS)
    domain = questions.ask("domain", "Domain, new or there already (such as reviews)", check_domain)
    name = questions.ask("packet", "Packet (such as GET_REVIEWS)", check_name)
    summary = questions.ask("summary", "What it does, in one line", check_summary, default_summary(name))
    print_help = f"Payload, as name:type, … ({kinds}; [int] a list, int? may be null); empty for none"
    fields = questions.ask("fields", print_help, parse_fields, "")
    reply = questions.ask("reply", "Reply, in the same way; in [ ] for a list of them; - for none", parse_reply, "-")
    rule = questions.ask(
        "rule",
        f"Who may ({', '.join(sorted(roles))}; a,b for all of them; any:a,b; authenticated)",
        lambda text: parse_rule(text, roles),
    )
    return Packet(domain=domain, name=name, fields=fields, reply=reply, rule=rule, summary=summary)


def application_starts() -> str:
    """Make the application in a new process, which reads the current files, and return the faults, if any."""
    done = subprocess.run(
        [sys.executable, "-m", "scripts.ws_handlers", "--json"], capture_output=True, text=True, check=False
    )
    return done.stderr.strip() if done.returncode else ""


def write(packet: Packet, actions: Path) -> list[Path]:
    """Write the packet, and undo the changes unless the application starts with it.

    Returns:
        The new and the changed files.

    Raises:
        ScaffoldError: The packet cannot be written; the checkout is as it was.
    """
    if faults := application_starts():
        raise ScaffoldError(f"the application does not start as it is; fix that first:\n{faults}")
    root = Path.cwd()
    made = plan(packet, root, actions)
    with Changes(made.contents, made.originals) as changes:
        if faults := application_starts():
            raise ScaffoldError(f"the application does not start with the packet:\n{faults}")
        changes.keep()
    return [path.relative_to(root) for path in made.contents if made.contents[path] != made.originals[path]]


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def main(project: Project, arguments: Sequence[str] | None = None) -> int:
    """Read the command line, ask for missing values, and write the packet."""
    parser = argparse.ArgumentParser(prog="new_ws_handler", description=__doc__)
    parser.add_argument("--domain", help="a folder of app/domains, new or there already")
    parser.add_argument("--packet", help="the name of its number: GET_REVIEWS")
    parser.add_argument("--fields", help="the payload: 'author_id:id, page:page=1, tags:[str]=[]'")
    parser.add_argument("--reply", help="the reply, in the same way; '[id:int, title:str]' for a list; '-' for none")
    parser.add_argument("--rule", help="who may: a role, 'a,b' (all), 'any:a,b' (one), 'authenticated'")
    parser.add_argument("--summary", help="what it does, in one line")
    options: dict[str, Any] = vars(parser.parse_args(arguments))
    # A closed terminal and `kill` undo the changes as Ctrl-C does, also in a background job, where the shell has
    # SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        actions = Path(project.settings.load().actions_file_path)
        table = ActionTable.load(actions)
        packet = ask_for_packet(options, sorted(table.roles))
        written = write(packet, actions)
    except (ScaffoldError, ActionsError, SettingsError, OSError) as error:
        print(f"new-ws-handlers: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nnew-ws-handlers: interrupted; nothing was written", file=sys.stderr)
        return INTERRUPTED
    for path in written:
        print(path)
    print(f"{packet.name} is ready: make ws-handlers, make test ARGS='-k {packet.function}'", file=sys.stderr)
    return 0
