"""`python -m starpost_dev.keycloak`: run the real Keycloak with the project's realm until a signal ends it.

It prints one line of JSON, ``{"base_url": "http://127.0.0.1:PORT"}``, as soon as it answers. The exit status is 3 if
Keycloak cannot run here; the message says what to install.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path

from starpost_dev.keycloak.distribution import UNAVAILABLE, VERSION, KeycloakUnavailableError, find_java, find_keycloak
from starpost_dev.keycloak.server import KeycloakServer
from starpost_dev.layout import REALM_FILE


def main() -> int:
    """Run Keycloak, and return the exit status."""
    options = _read_options()
    try:
        java, home = find_java(), find_keycloak()
        if options.fetch_only:
            print(f"Keycloak {VERSION} is there", file=sys.stderr)
            return 0
        port = _free_port(options.host, options.port)
        server = KeycloakServer(home, java, options.state.resolve(), options.realm_file, options.host, port)
        return asyncio.run(_run(server, until_eof=options.until_eof))
    except KeycloakUnavailableError as error:
        print(f"keycloak: {error}", file=sys.stderr)
        return UNAVAILABLE
    except OSError as error:
        print(f"keycloak: {error}", file=sys.stderr)
        return 2


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m starpost_dev.keycloak", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--realm-file", type=Path, default=REALM_FILE)
    parser.add_argument("--state", type=Path, default=Path(".dev/keycloak"), help="the folder for its database")
    parser.add_argument("--until-eof", action="store_true", help="end when the standard input closes")
    parser.add_argument("--fetch-only", action="store_true", help="only see that it could be run")
    return parser.parse_args()


def _free_port(host: str, wanted: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, wanted))
        port: int = probe.getsockname()[1]
        return port


async def _run(server: KeycloakServer, *, until_eof: bool) -> int:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, ended.set)
    if until_eof:
        loop.add_reader(sys.stdin.fileno(), _set_at_eof, ended)
    try:
        asked_to_end = asyncio.create_task(ended.wait())
        starting = asyncio.create_task(server.start())
        await asyncio.wait((starting, asked_to_end), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.wait((starting,))
            return 0
        starting.result()
        print(json.dumps({"base_url": server.base_url}), flush=True)
        ending = asyncio.create_task(server.wait())
        await asyncio.wait((ending, asked_to_end), return_when=asyncio.FIRST_COMPLETED)
        if ending.done():
            print(f"keycloak: it ended by itself with status {ending.result()}; see {server.log}", file=sys.stderr)
            return 1
        ending.cancel()
        return 0
    finally:
        await server.stop()


def _set_at_eof(ended: asyncio.Event) -> None:
    """End with the process that holds the other end of the standard input."""
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        ended.set()


if __name__ == "__main__":
    sys.exit(main())
