"""``/health/live``, ``/health/ready`` and ``/metrics``. ``actions.json`` grants access, as for every route."""

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from starpost.observability.health import Readiness, Ready
from starpost.observability.metrics import CONTENT_TYPE, exposition
from starpost.observability.peers import MetricsPeers

_NOT_KEPT = {"Cache-Control": "no-store"}


def observability_routes(readiness: Readiness, peers: MetricsPeers) -> list[HTTPRouteHandler]:
    """Return the three routes of this worker."""

    # Not a `Response`, which is not sent the short way of `http.handlers`.
    @get("/health/live", tags=["operation"], response_headers=_NOT_KEPT)
    async def live() -> dict[str, str]:
        """The process answers."""
        return {"status": "live"}

    @get("/health/ready", tags=["operation"], response_headers=_NOT_KEPT)
    async def ready() -> Ready:
        """The process can serve: each part that it needs is there. 503 names what is not."""
        return await readiness.check()

    @get("/metrics", tags=["operation"], media_type="text/plain")
    async def metrics() -> Response[bytes]:
        """The metrics of all workers behind this port, in the text format of Prometheus."""
        return Response(exposition(await peers.snapshots()), media_type=CONTENT_TYPE, headers=_NOT_KEPT)

    return [live, ready, metrics]
