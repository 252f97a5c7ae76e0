"""Processes: one launcher, its workers, and a stop that cuts no client off.

    app/__main__          →  launcher.launch(settings, target)      main process: traps the signals, runs Granian
    worker.WorkerStart    →  target(drain) -> ASGI application      worker process: before the application
    drain.DrainSignal     ←  entered by the application's lifespan  worker process: the request to drain, the answer

A signal to stop goes the other way: launcher → SIGUSR1 → ``DrainSignal.requested`` → the application closes its
sockets → ``DrainSignal.done()`` → launcher → Granian stops. ADR 0007 says why ``on_shutdown`` is too late for this.

An application's main module starts it all, and exits with the status that ``main`` returns::

    from app.settings import Settings
    from starpost.server.launcher import main

    sys.exit(main(Settings, "app.asgi:create_application"))
"""

from starpost.server.drain import DrainSignal

__all__ = ["DrainSignal"]
