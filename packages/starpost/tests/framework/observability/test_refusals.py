"""What an exception means to a client, and to the log."""

from typing import Literal

import pytest
import structlog
from structlog.testing import capture_logs

from starpost.errors import AppError, ConflictError, FieldError, InternalError, NotFoundError, UnavailableError
from starpost.observability import correlation
from starpost.observability.correlation import Correlation
from starpost.observability.refusals import Refusals

SUBJECTS: tuple[Literal["packet"], Literal["request"]] = ("packet", "request")

log = structlog.get_logger("of the caller")


class LostError(Exception):
    """Known to a translator."""


def translate(error: Exception) -> AppError | None:
    return UnavailableError("The database is away", retry_after=2) if isinstance(error, LostError) else None


def nothing(_: Exception) -> None:
    return None


def refusals(subject: Literal["packet", "request"] = "packet") -> Refusals:
    return Refusals(subject, log, [nothing, translate])


def test_a_refusal_is_itself_and_not_logged() -> None:
    error = ConflictError("Taken", errors=[FieldError("$.name", "Taken")])
    with capture_logs() as lines:
        assert refusals().of(error) is error
    assert lines == []


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_translator_knows_what_an_exception_means(subject: Literal["packet", "request"]) -> None:
    with capture_logs() as lines:
        refusal = refusals(subject).of(LostError("10.0.0.1 refused the connection"))
    assert type(refusal) is UnavailableError
    assert refusal.body() == UnavailableError("The database is away", retry_after=2).body()
    assert lines == [
        {"event": f"{subject}_refused", "log_level": "info", "code": "unavailable", "cause": "LostError"},
    ]


def test_the_first_translator_that_knows_it_decides() -> None:
    both = Refusals("packet", log, [lambda _: NotFoundError(), translate])
    assert type(both.of(LostError())) is NotFoundError


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_fault_is_logged_once_and_told_to_nobody(subject: Literal["packet", "request"]) -> None:
    error = ValueError("password=hunter2")
    with capture_logs() as lines:
        refusal = refusals(subject).of(error)
    assert refusal.incident
    assert refusal.body() == InternalError(incident=refusal.incident).body()
    assert lines == [
        {"event": f"{subject}_failed", "log_level": "error", "incident": refusal.incident, "exc_info": error},
    ]


def test_incidents_differ() -> None:
    assert len({refusals().of(ValueError()).incident for _ in range(3)}) == 3


def test_the_incident_is_the_id_of_what_is_being_answered() -> None:
    current = Correlation()
    outer = correlation.enter(current)
    try:
        assert refusals().of(ValueError()).incident == current.id
    finally:
        correlation.leave(outer)


@pytest.mark.parametrize("incident", [None, "abc"])
def test_an_internal_error_is_a_fault_and_keeps_its_incident(incident: str | None) -> None:
    error = InternalError("password=hunter2", errors=[FieldError("$.a", "b")], incident=incident)
    with capture_logs() as lines:
        refusal = refusals().of(error)
    assert refusal.body() == InternalError(incident=refusal.incident).body()
    assert incident in {None, refusal.incident}
    assert [(line["event"], line["incident"]) for line in lines] == [("packet_failed", refusal.incident)]


def test_an_internal_error_out_of_a_translator_is_a_fault() -> None:
    error = LostError("10.0.0.1")
    with capture_logs() as lines:
        refusal = Refusals("packet", log, [lambda _: InternalError("hunter2", incident="abc")]).of(error)
    assert refusal.body() == InternalError(incident="abc").body()
    assert [(line["event"], line["exc_info"]) for line in lines] == [("packet_failed", error)]
