"""The probe application with a fault behind its handshakes."""

from litestar import Litestar

from starpost.connections.places import Place, Places
from starpost.server import DrainSignal
from tests.framework import probe


class _Broken(Places):
    def take(self, *, is_stranger: bool) -> Place | None:
        raise RuntimeError(f"broken, {is_stranger=}")


def create(drain: DrainSignal) -> Litestar:
    app = probe.create(drain)
    app.state.services.places.__class__ = _Broken
    return app
