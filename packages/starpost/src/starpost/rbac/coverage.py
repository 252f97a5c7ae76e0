"""Coverage: every packet, route and topic needs a rule, and every rule needs one of them."""

from collections.abc import Iterable

import msgspec

from starpost.rbac.actions import METHODS, ActionTable


class DeclaredPacket(msgspec.Struct, frozen=True):
    """Packet with a registered handler; ``where`` is ``file:line``."""

    pkg_id: int
    name: str
    where: str


class DeclaredRoute(msgspec.Struct, frozen=True):
    """Method of an HTTP path, under the key that the guard uses; ``where`` is ``file:line``.

    ``MOUNT`` and ``WEBSOCKET`` in place of a method mark routes that no rule can name.
    """

    template: str
    method: str
    where: str


class DeclaredTopic(msgspec.Struct, frozen=True):
    """Topic by its declared name; ``where`` is ``file:line``."""

    name: str
    where: str


def coverage_faults(
    table: ActionTable,
    packets: Iterable[DeclaredPacket],
    routes: Iterable[DeclaredRoute],
    topics: Iterable[DeclaredTopic],
) -> list[str]:
    """Return one line for each packet, route and topic without a rule, and for each rule without one of them."""
    packets_by_id = {packet.pkg_id: packet for packet in packets if packet.pkg_id > 0}
    routes_by_key = {(route.template, route.method): route for route in routes}
    topics_by_name = {topic.name: topic for topic in topics}
    return [
        *(
            f'{packet.where}: packet {packet.pkg_id} {packet.name} has no rule; add $.ws["{packet.pkg_id}"]'
            for pkg_id, packet in sorted(packets_by_id.items())
            if pkg_id not in table.ws
        ),
        *(_route_fault(route) for key, route in sorted(routes_by_key.items()) if key not in table.http),
        *(
            f'{topic.where}: topic {name} has no rule; add $.topics["{name}"]'
            for name, topic in sorted(topics_by_name.items())
            if name not in table.topics
        ),
        *(
            f'$.ws["{pkg_id}"]: there is no packet {pkg_id}'
            for pkg_id in sorted(table.ws.keys() - packets_by_id.keys())
        ),
        *(
            f'$.http["{template}"].{method}: there is no route {method} {template}'
            for template, method in sorted(table.http.keys() - routes_by_key.keys())
        ),
        *(
            f'$.topics["{name}"]: there is no topic {name}'
            for name in sorted(table.topics.keys() - topics_by_name.keys())
        ),
    ]


def _route_fault(route: DeclaredRoute) -> str:
    if route.method in METHODS:
        return (
            f'{route.where}: {route.method} {route.template} has no rule; add $.http["{route.template}"].{route.method}'
        )
    kind = "mounted application" if route.method == "MOUNT" else "socket"
    return f"{route.where}: a {kind} at {route.template} cannot have a rule, so it would answer everybody"
