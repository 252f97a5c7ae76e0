"""From frames to packets, without a socket. What a client hears of it: ``test_connection``."""

from typing import Any

import pytest

from starpost.composition.services import connection_limits
from starpost.connections.heartbeat import Heartbeat
from starpost.connections.hub import ConnectionHub
from starpost.connections.intake import Intake
from starpost.connections.limits import STRANGER_MAX_BYTES
from starpost.observability.metrics import Metrics
from starpost.protocol.close_codes import CloseCode, Verdict
from starpost.protocol.codecs import JSON, BadPacket
from starpost.protocol.envelope import NIL, Packet
from starpost.settings import Settings

ID = "0b0cb0d2-3a4c-4b0c-9d27-5a6f6a3bd7f1"


class Read:
    """An intake, what it read and why it stopped."""

    def __init__(self, *, is_known: bool = True, **settings: Any) -> None:
        self.stopped: list[Verdict] = []
        self.heartbeat = Heartbeat(30, 10)
        self.pulse = ConnectionHub(heartbeat=30, heartbeat_timeout=10).pulse
        self.intake = Intake(
            JSON,
            connection_limits(Settings(**settings)),
            heartbeat=self.heartbeat,
            pulse=self.pulse,
            clock=lambda: 0.0,
            metrics=Metrics(),
            stop=self.stopped.append,
        )
        if is_known:
            self.intake.sign_in()

    def text(self, text: str) -> Any:
        return self.intake.read(text)


def packet(pkg_id: int, req_id: object = ID) -> str:
    return f'{{"pkg_id":{pkg_id},"req_id":"{req_id}"}}'


def test_a_packet_and_when_it_came() -> None:
    read = Read()
    read.pulse.now = 7.0
    found = read.text(packet(101))
    assert isinstance(found, Packet)
    assert (found.pkg_id, str(found.req_id), read.intake.last_seen) == (101, ID, 7.0)


def test_a_stranger_may_send_auth_alone() -> None:
    read = Read(is_known=False)
    assert isinstance(read.text(packet(-2)), Packet)
    assert isinstance(read.text(packet(101)), BadPacket)
    assert isinstance(read.text(f"[{packet(-2)}]"), BadPacket)
    assert not read.stopped
    assert read.text("x" * (STRANGER_MAX_BYTES + 1)) is None
    assert [verdict.code for verdict in read.stopped] == [CloseCode.MESSAGE_TOO_BIG]


@pytest.mark.parametrize(("size", "is_read"), [(4000, True), (4001, False)])
@pytest.mark.parametrize("letter", ["x", "é", "😀"])
def test_a_frame_is_measured_in_bytes(letter: str, size: int, is_read: bool) -> None:
    read = Read(ws_max_message_bytes=4000)
    width = len(letter.encode())
    text = letter * (size // width) + "x" * (size % width)
    assert (read.text(text) is not None) is is_read
    assert bool(read.stopped) is not is_read


def test_an_answer_to_the_heartbeat_needs_none() -> None:
    read = Read()
    assert read.text(packet(-1, NIL)) is None
    assert read.heartbeat.knows_ping
    assert isinstance(read.text(packet(-1)), Packet)
    assert len(read.text(f"[{packet(-1, NIL)}]")) == 1


def test_only_control_packets_are_taken_out_of_their_turn() -> None:
    read = Read()
    assert read.intake.control(packet(-5)) is not None
    assert read.intake.control(packet(101)) is None
    assert read.intake.control(f"[{packet(-5)}]") is None
    assert Read(is_known=False).intake.control(packet(-1)) is None


def test_what_the_rate_has_no_room_for() -> None:
    read = Read(ws_rate_limit=2)
    found = read.text(f"[{','.join([packet(101)] * 6)}]")
    assert [type(each) for each in found] == [Packet] * 4 + [BadPacket] * 2
    for _ in range(10):
        refused = read.text(packet(-1, NIL))
        assert isinstance(refused, BadPacket), "an answer to the heartbeat is paid for like any other"
    assert read.stopped[0].code is CloseCode.TOO_MANY


def test_bad_frames_are_counted_until_a_good_one() -> None:
    read = Read(ws_max_bad_frames=2)
    for text in ("{", packet(101), "{"):
        assert read.text(text) is not None
    assert not read.stopped
    read.text("{")
    assert [verdict.code for verdict in read.stopped] == [CloseCode.TOO_MANY_BAD_FRAMES]
