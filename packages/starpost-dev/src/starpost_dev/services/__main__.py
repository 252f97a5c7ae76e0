"""`make services`: hold the development services until Ctrl-C, and print the application's variables for them.

The standard output is shell code. `eval "$(…)"` would wait for ever, so read it from a file or copy it.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import time

from starpost_dev.services.caller import Caller
from starpost_dev.services.client import Attachment, attach
from starpost_dev.services.errors import ServiceError

_TICK_SECONDS = 0.5


def main() -> int:
    """Hold the services until a signal arrives, and return the exit status."""
    parser = argparse.ArgumentParser(prog="make services")
    parser.add_argument(
        "--end-with-parent", action="store_true", help="end when the process that started this one does"
    )
    caller = Caller(with_parent=parser.parse_args().end_with_parent)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        with attach() as services:
            _hold(services, caller)
    except ServiceError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return 0
    return 0


def _hold(services: Attachment, caller: Caller) -> None:
    _show(services)
    while not caller.is_gone:
        time.sleep(_TICK_SECONDS)
        if services.is_lost:
            print("The development services have ended; starting them again.", file=sys.stderr)
            services.renew()
            _show(services)


def _show(services: Attachment) -> None:
    for name, value in services.environment().items():
        print(f"export {name}={shlex.quote(value)}")
    sys.stdout.flush()
    print(f"The services run until Ctrl-C; their data is in {services.folder}.", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
