"""Reaper of servers whose owner was killed: `python -m starpost_dev.services.reaper`, started by `Watchdog`.

It reads orders from its standard input, one JSON array of key and order on each line. An empty order cancels the
earlier one with the same key. When the input ends, the reaper executes the remaining orders.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
from typing import Any

from starpost_dev.services import processes
from starpost_dev.services.processes import Process, StopSteps


def main() -> None:
    """Read orders until the pipe ends, then execute the remaining ones."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    orders: dict[str, dict[str, Any]] = {}
    for line in sys.stdin:
        key, order = json.loads(line)
        if order:
            orders[key] = order
        else:
            orders.pop(key, None)
    targets: dict[Process, StopSteps] = {}
    for order in orders.values():
        process = processes.find(order["pid"]) if "pid" in order else None
        if process is not None and process.started == order["started"]:
            targets[process] = [(signal.Signals(number), wait) for number, wait in order["steps"]]
    processes.end(targets)
    for order in orders.values():
        if "folder" in order:
            shutil.rmtree(order["folder"], ignore_errors=True)


if __name__ == "__main__":
    main()
