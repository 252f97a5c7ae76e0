"""The processes: one launcher, its workers, and how both end without cutting anybody off.

    app/__main__          →  launcher.launch(settings, target)      main process: traps the signals, runs Granian
    worker.WorkerStart    →  target(drain) -> ASGI application      every worker process, before the application
    drain.DrainSignal     ←  entered by the application's lifespan  every worker process: asked to empty itself

A signal to stop goes the other way: launcher → SIGUSR1 → ``DrainSignal.requested`` → the application closes its
sockets → ``DrainSignal.done()`` → launcher → Granian stops. Why here and not in ``on_shutdown``: ADR 0007.
"""

from starpost.server.drain import DrainSignal

__all__ = ["DrainSignal"]
