"""``make new-ws-handlers``: write a packet - its number, structs, handler, rule and a test that sends it.

The command asks for what no option says. It overwrites nothing, and undoes all changes if it fails or is interrupted.
"""

import argparse
from collections.abc import Sequence
from typing import Any

from starpost_dev.commands import writing
from starpost_dev.commands.questions import Questions
from starpost_dev.project import Project
from starpost_dev.scaffold import Packet, parse_fields, parse_reply, parse_rule, plan
from starpost_dev.scaffold.packet import KINDS, check_domain, check_name, check_summary, default_summary


def ask_for_packet(options: dict[str, str | None], roles: Sequence[str]) -> Packet:
    """Return the packet to write, from options and answers."""
    questions = Questions(options, ("domain", "packet"))
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
    return writing.run(
        "new-ws-handlers",
        project,
        lambda roles: ask_for_packet(options, roles),
        plan,
        lambda packet: f"{packet.name} is ready: make ws-handlers, make test ARGS='-k {packet.function}'",
    )
