"""Whom a request is charged to, and what its answer says; over real sockets in ``test_attacks``."""

from typing import Any

from starpost.errors import AppError
from starpost.header_fields import ANSWER_FIELDS
from starpost.limits import AddressLimit, RequestLimits, UserBudgets
from tests.framework.limits.clock import Clock


class Site:
    """The limits, with what they answered."""

    def __init__(self, *, user: int = 0, address: int = 0) -> None:
        self.clock = Clock()
        self.refusals: list[str] = []
        self.sent: list[Any] = []
        self.limits = RequestLimits(
            UserBudgets(user, clock=self.clock),
            AddressLimit(address, self.clock),
            refuse=self.refuse,
            on_refusal=self.refusals.append,
        )

    async def refuse(self, scope: Any, send: Any, error: AppError) -> None:
        assert error.retry_after is not None
        send({"type": "http.response.start", "status": error.http_status, "headers": [*scope[ANSWER_FIELDS]()]})

    def send(self, message: Any) -> Any:
        self.sent.append(message)

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[-1]["headers"])


def scope(address: str = "192.0.2.1", path: str = "/x") -> dict[str, Any]:
    return {"type": "http", "path": path, "client": (address, 1)}


async def test_answers_to_a_user_say_what_is_left() -> None:
    site = Site(user=2)
    for left in (3, 2, 1, 0):
        request = scope()
        assert site.limits.charge_user(request, site.send, "alice") is None
        assert request[ANSWER_FIELDS]() == (
            (b"ratelimit-policy", b'"user";q=4;w=2'),
            (b"ratelimit", b'"user";r=%d' % left),
        )
    refusal = site.limits.charge_user(scope(), site.send, "alice")
    assert refusal is not None
    await refusal
    assert site.sent[-1]["status"] == 429
    assert site.headers[b"ratelimit"] == b'"user";r=0;t=1'
    assert site.refusals == ["user"]


async def test_without_a_limit_nothing_is_said() -> None:
    site = Site()
    request = scope()
    assert site.limits.charge_user(request, site.send, "alice") is None
    assert ANSWER_FIELDS not in request
    assert site.limits.charge_address(scope(), site.send) is None


async def test_a_charge_is_given_back_once() -> None:
    site = Site(address=1)
    for _ in range(10):
        request = scope()
        assert site.limits.charge_address(request, site.send) is None
        site.limits.give_back(request)
        site.limits.give_back(request)
    answers = [site.limits.charge_address(scope(), site.send) for _ in range(3)]
    assert answers[:2] == [None, None]
    assert answers[2] is not None
    await answers[2]
    assert site.headers[b"ratelimit"] == b'"address";r=0;t=1'
    assert site.refusals == ["address"]
    assert site.limits.charge_address(scope("192.0.2.2"), site.send) is None


async def test_health_is_free() -> None:
    site = Site(address=1)
    assert not any(site.limits.charge_address(scope(path="/health/ready"), site.send) for _ in range(100))
    assert site.limits.charge_address(scope(path="/healthy"), site.send) is None
    assert site.limits.charge_address(scope(path="/"), site.send) is None
    refusal = site.limits.charge_address(scope(path="/"), site.send)
    assert refusal is not None
    await refusal
