"""AsyncAPI 3.0 of the socket, made from the registry: every packet with its types, its rule and an example.

Extensions hold what AsyncAPI has no member for: ``x-rule``, ``x-topic`` and ``x-deprecated`` of an operation,
``x-pkg-id`` of a message; ``x-topics``, ``x-subprotocols``, ``x-ways-in``, ``x-status-codes``, ``x-close-codes`` and
``x-limits`` of the document.
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from itertools import count
from typing import Any, get_args, get_origin
from urllib.parse import urlsplit

import msgspec
from litestar import get
from litestar.datastructures import CacheControlHeader
from litestar.handlers import HTTPRouteHandler
from msgspec import ValidationError

from starpost.contract.examples import example_of
from starpost.contract.openapi import SCHEMA_PATH, SCOPES
from starpost.contract.rules import rule_as_written
from starpost.contract.server_messages import SYSTEM_MESSAGES, ServerMessage, messages_of
from starpost.contract.tables import close_codes, status_codes, subprotocols, ways_in
from starpost.errors import ErrorBody, RSPCode
from starpost.packets import PacketRegistry, PacketRoute, SystemPacket
from starpost.protocol.envelope import NIL, ResponseModel
from starpost.protocol.pages import CursorMeta, OffsetMeta, Page
from starpost.rbac import ActionTable
from starpost.settings import Settings
from starpost.topics.event import EventMeta
from starpost.topics.topic import Push, Topic

_CHANNEL = "packets"
_EXAMPLE_ID = "550e8400-e29b-41d4-a716-446655440000"
_REFERENCE = "#/components/schemas/{name}"
_REQ_ID = {"type": "string", "format": "uuid"}


def asyncapi_document(
    settings: Settings,
    registry: PacketRegistry,
    table: ActionTable,
    *,
    title: str,
    version: str,
    topics: Iterable[Topic[Any]] = (),
    pushes: Iterable[Push[Any]] = (),
    names: type[IntEnum] | None = None,
) -> dict[str, Any]:
    """Return the document, as plain values.

    Args:
        settings: Address, limits and Keycloak.
        registry: The packets.
        table: The rules of packets and topics.
        title: Name of the application.
        version: Version of the application.
        topics: Topics that clients may subscribe to.
        pushes: Pushes, which need no subscription.
        names: Enumeration that names the packet numbers of topics and pushes.
    """
    topics = tuple(topics)
    sent = [*SYSTEM_MESSAGES, *messages_of((*topics, *pushes), names)]
    schemas = _Schemas(registry, sent)
    messages: dict[str, Any] = {"refusal": _refusal(schemas)}
    operations: dict[str, Any] = {}
    for route in registry.values():
        request, reply = f"{route.name}.request", f"{route.name}.reply"
        messages[request] = _request(route, schemas, topics)
        messages[reply] = _reply(route, schemas)
        operations[route.name] = _operation(route, table, request, reply)
    for message in sent:
        name = _unused(f"{message.name}.push", messages)
        messages[name] = _push(message, schemas)
        operations[name] = _sending(message, table, name)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": title, "version": version, "description": _DESCRIPTION},
        "defaultContentType": "application/json",
        "servers": _servers(settings),
        "channels": {_CHANNEL: _packets_channel(settings, messages)},
        "operations": operations,
        "components": {
            "messages": messages,
            "schemas": schemas.components,
            "securitySchemes": _security_schemes(settings),
        },
        "x-topics": [
            {
                "name": topic.name,
                "pkg_id": topic.pkg_id,
                "summary": topic.summary,
                "history": topic.history,
                "rule": _topic_rule(table, topic),
                "has_check": topic.authorize is not None,
            }
            for topic in topics
        ],
        "x-subprotocols": subprotocols(),
        "x-ways-in": ways_in(settings),
        "x-status-codes": status_codes(),
        "x-close-codes": close_codes(),
        "x-limits": {
            "max_message_bytes": settings.ws_max_message_bytes,
            "max_batch": settings.ws_max_batch,
            "max_timeout_ms": round(settings.ws_max_timeout * 1000),
            "auth_timeout_ms": round(settings.ws_auth_timeout * 1000),
            "heartbeat_ms": round(settings.ws_heartbeat * 1000),
            "heartbeat_timeout_ms": round(settings.ws_heartbeat_timeout * 1000),
            "token_warning_ms": round(settings.ws_token_warning * 1000),
        },
    }


def asyncapi_route(document: Mapping[str, Any]) -> HTTPRouteHandler:
    """Return the route ``GET /schema/asyncapi.json``."""
    encoded = msgspec.json.encode(document)

    @get(
        f"{SCHEMA_PATH}/asyncapi.json",
        media_type="application/json",
        include_in_schema=False,
        cache_control=CacheControlHeader(no_cache=True),
        sync_to_thread=False,
    )
    def asyncapi() -> bytes:
        """The packets, as an AsyncAPI document."""
        return encoded

    return asyncapi


def _unused(name: str, taken: Mapping[str, Any]) -> str:
    """Return the name, with a number if it is taken: several topics may share one packet number."""
    return name if name not in taken else next(f"{name}.{n}" for n in count(2) if f"{name}.{n}" not in taken)


def _topic_rule(table: ActionTable, topic: Topic[Any]) -> Any:
    rule = table.topic_rule(topic.name)
    return None if rule is None else rule_as_written(rule)


def _sending(message: ServerMessage, table: ActionTable, name: str) -> dict[str, Any]:
    operation = {"action": "send", "channel": _channel(), "summary": message.summary, "messages": [_message(name)]}
    if message.topic is None:
        return operation
    return operation | {"x-topic": message.topic.name, "x-rule": _topic_rule(table, message.topic)}


class _Schemas:
    """JSON Schemas of every type in the packets. Made in one call, so that names are unique among all of them."""

    def __init__(self, registry: PacketRegistry, sent: Iterable[ServerMessage]) -> None:
        types: list[Any] = [ErrorBody, OffsetMeta, CursorMeta, EventMeta, *(message.data for message in sent)]
        for route in registry.values():
            types += (route.payload, _data_type(route.reply))
        # Keyed by their repr: a type whose annotation holds a dict cannot be hashed.
        self._types = {repr(each): each for each in types}
        made, self.components = msgspec.json.schema_components(self._types.values(), ref_template=_REFERENCE)
        self._schemas = dict(zip(self._types, made, strict=True))

    def of(self, wanted: Any) -> dict[str, Any]:
        return self._schemas[repr(wanted)]


def _data_type(reply: Any) -> Any:
    """Return the type of a reply's ``data``; ``None`` is sent as ``{}``."""
    if get_origin(reply) is ResponseModel:
        return _data_type(get_args(reply)[0])
    if get_origin(reply) is Page:
        (item,) = get_args(reply)
        return list[item]  # type: ignore[valid-type]
    return dict[str, Any] if reply in (None, type(None)) else reply


def _metas(reply: Any) -> tuple[bool, bool]:
    """Return two booleans: a reply always has ``meta``; a reply may have ``meta``."""
    if get_origin(reply) is ResponseModel:
        return False, True
    is_page = get_origin(reply) is Page
    return is_page, is_page


def _request(route: PacketRoute, schemas: _Schemas, topics: tuple[Topic[Any], ...]) -> dict[str, Any]:
    schema = schemas.of(route.payload)
    is_optional = _is_optional(route)
    envelope: dict[str, Any] = {
        "type": "object",
        "required": ["pkg_id", "req_id"] if is_optional else ["pkg_id", "req_id", "data"],
        "properties": {
            "pkg_id": {"const": route.pkg_id},
            "req_id": _REQ_ID,
            "data": {"anyOf": [schema, {"type": "null"}]} if is_optional else schema,
            "timeout_ms": {"type": ["integer", "null"], "minimum": 1},
        },
    }
    if route.declaration.is_deprecated:
        envelope["deprecated"] = True
    data = example_of(schema, schemas.components)
    if route.is_system and "topic" in data and topics:
        data["topic"] = topics[0].name
    example = {"pkg_id": route.pkg_id, "req_id": _EXAMPLE_ID, "data": data}
    return {
        "name": route.name,
        "title": f"{route.name} ({route.pkg_id})",
        "summary": route.declaration.summary,
        "payload": envelope,
        "examples": [{"name": "smallest", "payload": example}],
        "x-pkg-id": route.pkg_id,
    }


def _is_optional(route: PacketRoute) -> bool:
    """Return whether ``{}`` is valid data, so that ``data`` may be absent."""
    try:
        route.decoders["json"].decode(b"{}")
    except ValidationError:
        return False
    return True


def _reply(route: PacketRoute, schemas: _Schemas) -> dict[str, Any]:
    is_always, is_possible = _metas(route.reply)
    payload: dict[str, Any] = {
        "type": "object",
        "required": ["pkg_id", "req_id", "status_code", "data", *(["meta"] if is_always else [])],
        "properties": {
            "pkg_id": {"const": route.pkg_id},
            "req_id": _REQ_ID,
            "status_code": {"const": int(RSPCode.OK)},
            "data": schemas.of(_data_type(route.reply)),
        },
    }
    if is_possible:
        payload["properties"]["meta"] = {"anyOf": [schemas.of(OffsetMeta), schemas.of(CursorMeta)]}
    return {"name": route.name, "title": f"{route.name} succeeded", "payload": payload, "x-pkg-id": route.pkg_id}


def _refusal(schemas: _Schemas) -> dict[str, Any]:
    return {
        "name": "refusal",
        "title": "A packet was refused",
        "summary": "The reply to any packet that did not succeed; the connection stays open.",
        "payload": {
            "type": "object",
            "required": ["pkg_id", "req_id", "status_code", "data"],
            "properties": {
                "pkg_id": {"type": "integer", "description": "the request's; 0 if it could not be read"},
                "req_id": _REQ_ID | {"description": "the request's; nil if it could not be read"},
                "status_code": {"enum": [int(code) for code in RSPCode if code is not RSPCode.OK]},
                "data": schemas.of(ErrorBody),
            },
        },
    }


def _push(message: ServerMessage, schemas: _Schemas) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "type": "object",
        "required": ["pkg_id", "req_id", "status_code", "data"],
        "properties": {
            "pkg_id": {"const": message.pkg_id},
            "req_id": {"const": str(NIL)},
            "status_code": {"const": int(RSPCode.OK)},
            "data": schemas.of(message.data),
        },
    }
    if message.topic is not None:
        payload["required"].append("meta")
        payload["properties"]["meta"] = schemas.of(EventMeta)
    return {
        "name": message.name,
        "title": f"{message.name} ({message.pkg_id})",
        "summary": message.summary,
        "payload": payload,
        "x-pkg-id": message.pkg_id,
    }


def _operation(route: PacketRoute, table: ActionTable, request: str, reply: str) -> dict[str, Any]:
    if route.is_system:
        # A connection without a user may send AUTH, and nothing else.
        rule: Any = "public" if route.pkg_id == SystemPacket.AUTH else "authenticated"
    else:
        rule = rule_as_written(table.ws[route.pkg_id]) if route.pkg_id in table.ws else None
    operation = {
        "action": "receive",
        "channel": _channel(),
        "title": f"{route.name} ({route.pkg_id})",
        "summary": route.declaration.summary,
        "description": route.declaration.description,
        "tags": [{"name": "system" if route.is_system else _domain_of(route)}],
        "messages": [_message(request)],
        "reply": {"channel": _channel(), "messages": [_message(reply), _message("refusal")]},
        "x-rule": rule,
    }
    return operation | ({"x-deprecated": True} if route.declaration.is_deprecated else {})


def _domain_of(route: PacketRoute) -> str:
    """Return the name of the handler's package, which is the folder of its domain."""
    return route.declaration.handler.__module__.split(".")[-2:][0]


def _channel() -> dict[str, str]:
    return {"$ref": f"#/channels/{_CHANNEL}"}


def _message(name: str) -> dict[str, str]:
    return {"$ref": f"#/channels/{_CHANNEL}/messages/{name}"}


def _packets_channel(settings: Settings, messages: Mapping[str, Any]) -> dict[str, Any]:
    headers: dict[str, Any] = {
        "Authorization": {"type": "string", "description": "Bearer and an access token"},
        "Sec-WebSocket-Protocol": {
            "type": "string",
            "description": "json (the default) or msgpack; beside it bearer.<access token>, which is never echoed",
        },
    }
    binding: dict[str, Any] = {
        "method": "GET",
        "headers": {"type": "object", "properties": headers},
        "bindingVersion": "0.1.0",
    }
    if settings.ws_query_token:
        query = {"Authorization": {"type": "string", "description": "Bearer and an access token"}}
        binding["query"] = {"type": "object", "properties": query}
    return {
        "address": "/web",
        "title": "Packets",
        "description": _CHANNEL_DESCRIPTION.format(max_batch=settings.ws_max_batch),
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {"ws": binding},
    }


def _servers(settings: Settings) -> dict[str, Any]:
    """The address that a client is to use: the proxy's, or the second door's, or the one of this document."""
    security = [{"$ref": f"#/components/securitySchemes/{name}"} for name in _security_schemes(settings)]
    if settings.ws_public_url:
        public = urlsplit(settings.ws_public_url)
        return {"public": {"host": public.netloc, "protocol": public.scheme, "security": security}}
    if settings.ws_port:
        name = {"name": {"default": settings.host, "description": "name of the host where this document came from"}}
        address = f"{{name}}:{settings.ws_port}"
        return {"sockets": {"host": address, "protocol": "ws", "variables": name, "security": security}}
    host = {"host": {"default": f"{settings.host}:{settings.port}", "description": "where this document came from"}}
    return {
        "plain": {"host": "{host}", "protocol": "ws", "variables": host, "security": security},
        "tls": {"host": "{host}", "protocol": "wss", "variables": host, "security": security},
    }


def _security_schemes(settings: Settings) -> dict[str, Any]:
    schemes: dict[str, Any] = {
        "keycloak": {
            "type": "openIdConnect",
            "openIdConnectUrl": f"{settings.keycloak_issuer}/.well-known/openid-configuration",
            "scopes": [*SCOPES],
            "x-client-id": settings.keycloak_client_id,
        },
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    }
    if settings.ws_query_token:
        schemes["query"] = {
            "type": "httpApiKey",
            "in": "query",
            "name": "Authorization",
            "description": "`Bearer <access token>`, percent-encoded",
        }
    return schemes


_DESCRIPTION = """\
One WebSocket, `GET /web`, carries packets: a request `{pkg_id, req_id, data}` is answered by a reply with the same
`req_id`. Positive numbers are the application's, negative ones the system's. Packets that the server sends on its own
have the nil `req_id`. The server answers a bad packet, and never closes the connection because of one.

`x-rule` is the rule of a packet, in the grammar of `actions.json`: a role, a list (all of them), `{"any": [...]}`,
`authenticated`, `public`."""

_CHANNEL_DESCRIPTION = (
    "A frame holds one request, or an array of 1 to {max_batch} of them, which is answered by one frame with the array "
    "of the replies in the same order. Before AUTH it holds one request and 32 KiB, and all but AUTH is refused. "
    "With the subprotocol `msgpack`, frames are binary and the shapes are the same; "
    "`req_id` is the UUID as a string. After SUBSCRIBE with `batched`, a frame with an array holds several events of "
    "the topic, in order."
)
