"""Topics: server push with history in Redis, fan-out between workers, and presence.

A domain declares a topic; its name may have parameters. A handler publishes through the dependency ``events``::

    from starpost.topics import Publisher, Topic

    ORDER = Topic("orders.{order_id}", event=OrderEvent, pkg_id=PkgID.ORDER_EVENT, summary="An order changes.")

    async def ship(order: Order, events: Publisher) -> None:
        events.publish(ORDER, OrderEvent(order.state), order_id=order.id)

The event leaves after the unit of work has committed. Each subscriber gets every event once, in order, or a GAP that
names the missing ones; a client that returns with its last offset gets the events that it missed, as far as the
history reaches.
"""

from starpost.topics.broker import Broker, Publisher
from starpost.topics.topic import Push, Topic, Topics

__all__ = ["Broker", "Publisher", "Push", "Topic", "Topics"]
