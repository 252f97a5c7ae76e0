"""`python -m starpost_dev.realm`: serve the development realm until a signal ends it.

It prints one line of JSON, ``{"base_url": "http://127.0.0.1:PORT"}``, as soon as it answers.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import signal
import socket
import sys
from ipaddress import ip_address
from pathlib import Path

from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.embed import Server

from starpost_dev.layout import REALM_FILE
from starpost_dev.realm.realm import Realm
from starpost_dev.realm.realm_file import RealmFileError


def main() -> int:
    """Serve the realm, and return the exit status: 2 if it cannot be served as asked."""
    options = _read_options()
    logging.basicConfig(level=options.log_level.upper(), format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
    # httpx would log the URL of every message to a client.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        port = _free_port(options.host, options.port)
        realm = Realm(f"http://{options.host}:{port}", options.realm_file, options.state)
    except (RealmFileError, OSError) as error:
        print(f"realm: {error}", file=sys.stderr)
        return 2
    asyncio.run(_serve(realm, options.host, port, until_eof=options.until_eof))
    return 0


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m starpost_dev.realm", description=__doc__)
    parser.add_argument("--host", type=_loopback, default="127.0.0.1", help="a loopback address (127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--realm-file", type=Path, default=REALM_FILE)
    parser.add_argument("--state", type=Path, required=True, help="the folder for keys, users and sessions")
    parser.add_argument("--until-eof", action="store_true", help="end when the standard input closes")
    parser.add_argument("--log-level", choices=("info", "warning", "error"), default="info")
    return parser.parse_args()


def _loopback(value: str) -> str:
    """Parse an address that no other machine reaches: this realm's passwords are in a public file."""
    try:
        is_loopback = ip_address(value).is_loopback
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{value!r} is not an IP address") from error
    if not is_loopback:
        raise argparse.ArgumentTypeError(
            f"{value} is not a loopback address; the development realm listens on no other"
        )
    return value


def _free_port(host: str, wanted: int) -> int:
    """Return the port, which was free a moment ago.

    Granian binds with SO_REUSEPORT, so it would silently share a taken port, and it does not report which port it chose
    for 0. So we check and choose here.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, wanted))
        port: int = probe.getsockname()[1]
        return port


async def _serve(realm: Realm, host: str, port: int, *, until_eof: bool) -> None:
    # Importing the framework is most of the start, and `--help` or a wrong argument must not wait for it. Imports make
    # no garbage, and the collector would take a quarter of their time.
    gc.disable()
    from starpost_dev.realm.app import create_realm_app  # noqa: PLC0415

    gc.enable()

    # Granian's embedded server runs in this process: it starts at once, and one signal ends everything.
    server = Server(
        create_realm_app(realm),
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        websockets=False,
        log_level=LogLevels.error,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, server.stop)
    if until_eof:
        loop.add_reader(sys.stdin.fileno(), _stop_at_eof, server)
    serving = asyncio.create_task(server.serve())
    while not serving.done():
        try:
            _, writer = await asyncio.open_connection(host, port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.01)
            continue
        writer.close()
        print(json.dumps({"base_url": realm.base_url}), flush=True)
        break
    await serving


def _stop_at_eof(server: Server) -> None:
    """End with the process that holds the other end of the standard input."""
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        server.stop()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    exit_status = main()
    # Granian's threads may outlive the loop, and Python 3.13 was seen to abort when they ran during the interpreter's
    # teardown. All state is written by now, so we skip the teardown.
    logging.shutdown()
    sys.stdout.flush()
    os._exit(exit_status)
