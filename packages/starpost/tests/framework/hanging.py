"""A server that does not answer, although its connections stay."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from starpost_dev.services.valkey import Valkey


@contextmanager
def hanging(valkey: Valkey) -> Iterator[None]:
    """While open, Redis does not answer; what was asked meanwhile is answered at the end."""
    pid = valkey.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
