"""Messages that the server sends on its own: system packets, events and pushes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from starpost.packets import SystemPacket
from starpost.packets.system import Closing, TokenExpiring
from starpost.topics.presence import Change
from starpost.topics.subscription import Gap
from starpost.topics.topic import Push, Topic


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerMessage:
    """Packet that the server sends without a request.

    Args:
        pkg_id: Number of the packet.
        name: Name of the number.
        data: Type of its ``data``.
        summary: One line.
        topic: Topic that it belongs to, whose rule decides who receives it.
    """

    pkg_id: int
    name: str
    data: Any
    summary: str
    topic: Topic[Any] | None = None


SYSTEM_MESSAGES: Final = tuple(
    ServerMessage(pkg_id=int(number), name=number.name, data=data, summary=summary)
    for number, data, summary in (
        (SystemPacket.PING, dict[str, Any], "After a silence: answer with a PING that repeats the nil `req_id`."),
        (SystemPacket.CLOSING, Closing, "The last packet before the server closes."),
        (SystemPacket.GAP, Gap, "Events of a topic did not reach this client."),
        (SystemPacket.TOKEN_EXPIRING, TokenExpiring, "Send AUTH with a new token before then."),
        (SystemPacket.PRESENCE, Change, "Users came to a watched topic, or left it."),
    )
)
"""Messages of the framework itself."""


def messages_of(sources: Iterable[Topic[Any] | Push[Any]], names: type[IntEnum] | None) -> Iterator[ServerMessage]:
    """Yield the messages of topics and pushes.

    Args:
        sources: The topics and the pushes.
        names: Enumeration that names their numbers.
    """
    known = {int(number): number.name for number in names or ()}
    for source in sources:
        topic = source if isinstance(source, Topic) else None
        yield ServerMessage(
            pkg_id=source.pkg_id,
            name=known.get(source.pkg_id, f"PACKET_{source.pkg_id}"),
            data=source.event,
            summary=source.summary,
            topic=topic,
        )
