"""The judgement of silence, on a clock of its own."""

from starpost.connections.heartbeat import Heartbeat, Judgement


def test_a_client_that_speaks_is_left_alone() -> None:
    heartbeat = Heartbeat(30, 10)
    assert [heartbeat.judge(now, now - 1) for now in range(10, 200, 10)] == [Judgement.NOTHING] * 19


def test_silence_is_asked_about_once_and_an_answer_ends_it() -> None:
    heartbeat = Heartbeat(30, 10)
    heartbeat.knows_ping = True
    assert heartbeat.judge(129.9, 100) is Judgement.NOTHING
    assert heartbeat.judge(130, 100) is Judgement.PING
    assert heartbeat.judge(139, 100) is Judgement.NOTHING
    # An answer within the same tick of the coarse clock counts.
    assert heartbeat.judge(140, 130) is Judgement.NOTHING
    assert heartbeat.judge(160, 130) is Judgement.PING


def test_who_knows_ping_and_does_not_answer_is_lost() -> None:
    heartbeat = Heartbeat(30, 10)
    heartbeat.knows_ping = True
    assert heartbeat.judge(130, 100) is Judgement.PING
    assert heartbeat.judge(140, 100) is Judgement.LOST


def test_who_does_not_know_ping_is_asked_at_every_interval_and_never_lost() -> None:
    heartbeat = Heartbeat(30, 10)
    pulses = [heartbeat.judge(now, 100) for now in range(100, 250, 10)]
    assert pulses.count(Judgement.PING) == 4
    assert Judgement.LOST not in pulses


def test_the_timeout_may_be_longer_than_the_interval() -> None:
    heartbeat = Heartbeat(1, 5)
    heartbeat.knows_ping = True
    assert heartbeat.judge(101, 100) is Judgement.PING
    assert [heartbeat.judge(now, 100) for now in (102, 103, 105)] == [Judgement.NOTHING] * 3
    assert heartbeat.judge(106, 100) is Judgement.LOST
