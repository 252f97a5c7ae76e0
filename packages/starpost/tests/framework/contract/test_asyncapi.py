from enum import IntEnum
from typing import Any, Literal
from uuid import uuid4

import msgspec
import pytest
from jsonschema import Draft202012Validator
from litestar import Litestar
from msgspec import Struct
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from starpost import CursorMeta, OffsetMeta, PackageRouter, Page, RequestModel, ResponseModel
from starpost.contract import asyncapi_document
from starpost.contract.server_messages import SYSTEM_MESSAGES
from starpost.packets import PacketRegistry, SystemPacket
from starpost.packets.registry import freeze
from starpost.protocol import CODECS, NIL
from starpost.rbac import ActionTable
from starpost.settings import Settings
from starpost.testing import Serve
from starpost.testing.issuer import Issuer
from starpost.testing.packet_client import packet_client
from starpost.topics import Push, Topic
from tests.framework.contract.conftest import at, client_of, references
from tests.specimen import SPECIMEN
from tests.specimen.asgi import TITLE, VERSION
from tests.specimen.pkg_ids import PkgID


@pytest.fixture(scope="session")
async def document(application: Litestar) -> dict[str, Any]:
    """As it is served."""
    async with client_of(application) as client:
        answer = await client.get("/schema/asyncapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def validator(document: dict[str, Any], message: str) -> Draft202012Validator:
    """Judges packets by a message's payload schema."""
    base = "urn:asyncapi"
    registry = Registry().with_resource(base, DRAFT202012.create_resource(document))
    payload = document["components"]["messages"][message]["payload"]
    # References are written from the document's root.
    absolute = msgspec.json.decode(
        msgspec.json.encode(payload).replace(b'"#/components', f'"{base}#/components'.encode())
    )
    return Draft202012Validator(absolute, registry=registry)


def test_is_asyncapi_3(document: dict[str, Any]) -> None:
    """What the specification requires of each object; the whole is validated by its tools, which need Node.js."""
    assert document["asyncapi"] == "3.0.0"
    assert document["info"]["title"] == TITLE
    assert document["info"]["version"] == VERSION
    for server in document["servers"].values():
        assert server["protocol"] in ("ws", "wss")
        assert server["host"]
    for operation in document["operations"].values():
        assert operation["action"] in ("send", "receive")
        assert operation["channel"] == {"$ref": "#/channels/packets"}
        for message in [*operation["messages"], *operation.get("reply", {}).get("messages", [])]:
            assert message["$ref"].startswith("#/channels/packets/messages/"), (
                "an operation names its channel's messages"
            )


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = references(document)
    assert len(found) > 50
    for reference in found:
        at(document, reference)


def test_every_schema_is_a_json_schema(document: dict[str, Any]) -> None:
    for message in document["components"]["messages"].values():
        Draft202012Validator.check_schema(message["payload"])
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_packet_is_an_operation_with_request_and_reply(
    document: dict[str, Any], registry: PacketRegistry
) -> None:
    received = {name: each for name, each in document["operations"].items() if each["action"] == "receive"}
    assert received.keys() == {route.name for route in registry.values()}
    for route in registry.values():
        operation = received[route.name]
        request = at(document, at(document, operation["messages"][0]["$ref"])["$ref"])
        assert request["x-pkg-id"] == route.pkg_id
        assert request["payload"]["properties"]["pkg_id"] == {"const": route.pkg_id}
        assert operation["summary"] == route.declaration.summary
        replies = [message["$ref"].rpartition("/")[2] for message in operation["reply"]["messages"]]
        assert replies == [f"{route.name}.reply", "refusal"]


def test_every_packet_of_the_server_is_described(registry: PacketRegistry) -> None:
    described = {message.pkg_id for message in SYSTEM_MESSAGES}
    assert described >= {int(number) for number in SystemPacket if number not in registry}


def test_topics_with_their_packets_and_rules(document: dict[str, Any]) -> None:
    (topic,) = [topic for topic in document["x-topics"] if topic["name"] == "authors"]
    assert topic["pkg_id"] == PkgID.AUTHOR_EVENT
    assert topic["rule"] == "author-reader"
    assert topic["has_check"] is False
    operation = document["operations"]["AUTHOR_EVENT.push"]
    assert (operation["action"], operation["x-topic"], operation["x-rule"]) == ("send", "authors", "author-reader")
    example = document["components"]["messages"]["SUBSCRIBE.request"]["examples"][0]["payload"]
    assert example["data"] == {"topic": document["x-topics"][0]["name"]}


def test_rules_are_those_of_the_table(document: dict[str, Any], application: Litestar) -> None:
    operations = document["operations"]
    assert operations["GET_AUTHORS"]["x-rule"] == "author-reader"
    assert operations["DELETE_AUTHOR"]["x-rule"] == "admin"
    assert operations["PING"]["x-rule"] == "authenticated"
    assert operations["AUTH"]["x-rule"] == "public", "it is what a connection without a user may send"


def test_examples_are_good_for_schema_and_decoders(document: dict[str, Any], registry: PacketRegistry) -> None:
    for route in registry.values():
        example = document["components"]["messages"][f"{route.name}.request"]["examples"][0]["payload"]
        validator(document, f"{route.name}.request").validate(example)
        for codec in CODECS:
            try:
                route.decoders[codec.name].decode(codec.encode(example["data"]))
            except msgspec.ValidationError as error:
                pytest.fail(f"{route.name}: {error}; name an example at the type: Meta(examples=[...])")


def test_data_may_be_absent_only_where_nothing_is_required(document: dict[str, Any]) -> None:
    absent = {"req_id": str(uuid4())}
    assert validator(document, "GET_AUTHORS.request").is_valid({"pkg_id": 1, **absent})
    assert validator(document, "GET_AUTHORS.request").is_valid({"pkg_id": 1, "data": None, **absent})
    assert not validator(document, "CREATE_AUTHOR.request").is_valid({"pkg_id": 2, **absent})
    assert not validator(document, "CREATE_AUTHOR.request").is_valid({"pkg_id": 2, "data": None, **absent})
    assert not validator(document, "CREATE_AUTHOR.request").is_valid({"pkg_id": 2, "data": {"name": ""}, **absent})


def test_status_codes_are_those_of_the_contract(document: dict[str, Any]) -> None:
    found = {
        status["code"]: (status["name"], {error["code"]: error["retryable"] for error in status["errors"]})
        for status in document["x-status-codes"]
    }
    assert found == {
        0: ("OK", {}),
        1: ("ERROR", {"unknown_packet": False, "internal": False}),
        2: (
            "INVALID_DATA",
            {"bad_frame": False, "bad_envelope": False, "invalid_data": False, "batch_too_large": False},
        ),
        3: ("PERMISSION_DENIED", {"permission_denied": False}),
        4: ("NOT_FOUND", {"not_found": False}),
        5: ("CONFLICT", {"conflict": False, "duplicate_request": False}),
        6: ("RATE_LIMITED", {"rate_limited": True}),
        7: ("UNAVAILABLE", {"unavailable": True}),
        8: ("TIMEOUT", {"timeout": True}),
        9: ("UNAUTHENTICATED", {"invalid_token": False, "token_expired": False, "different_user": False}),
    }


def test_close_codes_are_those_of_the_contract(document: dict[str, Any]) -> None:
    found = {verdict["code"]: (verdict["reconnect"], verdict["new_token"]) for verdict in document["x-close-codes"]}
    stop, back, with_new_token = (False, False), (True, False), (True, True)
    assert found == {
        1000: stop,
        1001: stop,
        1002: stop,
        1007: stop,
        1009: stop,
        1011: back,
        1012: back,
        1013: back,
        4400: stop,
        4401: with_new_token,
        4403: stop,
        4408: back,
        4429: back,
    }


def test_codecs_and_ways_in(document: dict[str, Any]) -> None:
    assert [(each["name"], each["frames"]) for each in document["x-subprotocols"]] == [
        ("json", "text"),
        ("msgpack", "binary"),
    ]
    assert [way["name"] for way in document["x-ways-in"]] == ["header", "subprotocol", "query", "packet"]
    keycloak = document["components"]["securitySchemes"]["keycloak"]
    assert keycloak["openIdConnectUrl"] == (
        "https://sso.example.org/auth/realms/starpost/.well-known/openid-configuration"
    )


def test_query_is_no_way_in_where_it_is_switched_off(settings: Settings, application: Litestar) -> None:
    blueprint = application.state.blueprint
    strict = msgspec.structs.replace(settings, ws_query_token=False)
    document = asyncapi_document(strict, blueprint.registry, blueprint.table, title="Test", version="1")
    assert "query" not in document["components"]["securitySchemes"]
    assert "query" not in document["channels"]["packets"]["bindings"]["ws"]
    assert [way["name"] for way in document["x-ways-in"]] == ["header", "subprotocol", "packet"]


@pytest.mark.parametrize(
    ("given", "server"),
    [
        ({"ws_public_url": "wss://app.example.org/web", "ws_port": 8001}, ("public", "wss", "app.example.org")),
        ({"ws_port": 8001}, ("sockets", "ws", "{name}:8001")),
        ({}, ("plain", "ws", "{host}")),
    ],
)
def test_the_address_that_clients_are_to_use(
    settings: Settings, application: Litestar, given: dict[str, Any], server: tuple[str, str, str]
) -> None:
    blueprint = application.state.blueprint
    there = msgspec.structs.replace(settings, **given)
    document = asyncapi_document(there, blueprint.registry, blueprint.table, title="Test", version="1")
    name, found = next(iter(document["servers"].items()))
    assert (name, found["protocol"], found["host"]) == server
    assert found["security"]


class Word(Struct):
    word: str


def test_kinds_of_replies_and_deprecation(settings: Settings) -> None:
    router = PackageRouter()

    @router.register(PkgID.GET_AUTHORS, deprecated=True)
    async def nothing() -> None:
        """Answer nothing."""

    @router.register(PkgID.CREATE_AUTHOR)
    async def page() -> Page[Word]:
        """Answer a page."""
        return Page([], OffsetMeta.of(1, 1, 0))

    @router.register(PkgID.UPDATE_AUTHOR)
    async def whole(request: RequestModel[Word]) -> ResponseModel[list[Word]]:
        """Answer as it likes."""
        return ResponseModel.ok_msg(request.pkg_id, request.req_id, [request.data])

    registry, _ = freeze(router.declarations, numbers=[PkgID], providers={})
    rules = {1: "authenticated", 2: ["a", "b"], 4: {"any": ["a", "b"]}}
    ws = {str(number): rule for number, rule in rules.items()}
    table = ActionTable.parse(msgspec.json.encode({"roles": ["a", "b"], "ws": ws, "http": {}, "topics": {}}))
    document = asyncapi_document(settings, registry, table, title="Test", version="1")
    operations = document["operations"]
    assert [operations[PkgID(number).name]["x-rule"] for number in rules] == [*rules.values()]
    assert operations["GET_AUTHORS"]["x-deprecated"] is True
    assert "x-deprecated" not in operations["UPDATE_AUTHOR"]
    messages = document["components"]["messages"]
    assert messages["GET_AUTHORS.request"]["payload"]["deprecated"] is True

    def judge(name: str, data: Any, **members: Any) -> bool:
        packet = {"pkg_id": int(PkgID[name]), "req_id": str(uuid4()), "status_code": 0, "data": data, **members}
        return bool(validator(document, f"{name}.reply").is_valid(packet))

    kinds = [OffsetMeta.of(1, 1, 1), CursorMeta(1, None, has_more=False), OffsetMeta.of(1, 1, 9, total_is_exact=False)]
    metas = [msgspec.to_builtins(meta) for meta in kinds]
    assert judge("GET_AUTHORS", {})
    assert [judge("CREATE_AUTHOR", [{"word": "a"}], meta=meta) for meta in metas] == [True] * 3
    assert not judge("CREATE_AUTHOR", [{"word": "a"}]), "a page has a meta"
    assert not judge("CREATE_AUTHOR", [{"word": 1}], meta=metas[0])
    assert judge("UPDATE_AUTHOR", [{"word": "a"}])
    assert judge("UPDATE_AUTHOR", [{"word": "a"}], meta=metas[0])


def test_topics_that_share_a_packet_and_pushes_without_topic(settings: Settings) -> None:
    topics = [Topic("a", event=Word, pkg_id=1), Topic("b.{id}", event=Word, pkg_id=1)]
    registry, _ = freeze([], numbers=[], providers={})
    table = ActionTable.parse(
        b'{"roles": ["r"], "ws": {}, "http": {}, "topics": {"a": "r", "b.{id}": "authenticated"}}'
    )
    document = asyncapi_document(
        settings,
        registry,
        table,
        title="T",
        version="1",
        topics=topics,
        pushes=[Push(pkg_id=2, event=Word)],
        names=PkgID,
    )
    sent = {name: each.get("x-rule") for name, each in document["operations"].items() if "GET" in name or "CRE" in name}
    assert sent == {"GET_AUTHORS.push": "r", "GET_AUTHORS.push.2": "authenticated", "CREATE_AUTHOR.push": None}
    push = {"pkg_id": 2, "req_id": str(NIL), "status_code": 0, "data": {"word": "a"}}
    validator(document, "CREATE_AUTHOR.push").validate(push)
    assert not validator(document, "GET_AUTHORS.push").is_valid(push | {"pkg_id": 1}), "a topic's event has a meta"


EVERYTHING = ["admin", "author-editor", "author-reader"]


@pytest.mark.parametrize("codec", ["json", "msgpack"])
async def test_real_packets_are_as_described(
    serve: Serve, issuer: Issuer, document: dict[str, Any], codec: Literal["json", "msgpack"]
) -> None:
    token = issuer.token(realm_access={"roles": EVERYTHING})
    async with packet_client(serve(target=SPECIMEN).port, token, codec=codec) as client:
        seen: set[IntEnum] = set()
        packets = {name for name, each in document["operations"].items() if each["action"] == "receive"}

        async def ask(number: IntEnum, data: Any = None) -> Any:
            envelope = {"pkg_id": int(number), "req_id": str(uuid4()), "data": data}
            validator(document, f"{number.name}.request").validate(envelope)
            reply = await client.ask(int(number), data)
            validator(document, f"{number.name}.reply").validate(reply)
            seen.add(number)
            return reply["data"]

        name = f"Documented {uuid4()}"
        author = (await ask(PkgID.CREATE_AUTHOR, {"name": name}))["id"]
        await ask(PkgID.UPDATE_AUTHOR, {"id": author, "name": f"{name} II"})
        assert await ask(PkgID.GET_AUTHORS, {"page": 1, "filters": {"name": name}})
        assert await ask(PkgID.GET_AUTHORS, {"cursor": ""})
        await ask(PkgID.DELETE_AUTHOR, {"id": author})
        await ask(SystemPacket.PING, {"any": ["thing"]})
        await ask(SystemPacket.AUTH, {"token": token})
        await ask(SystemPacket.SUBSCRIBE, {"topic": "authors"})
        created = await ask(PkgID.CREATE_AUTHOR, {"name": f"{name} III"})
        about = None
        while about != created["id"]:
            # An event comes a moment behind its reply: that of the deletion may be heard as well.
            event = await client.next_push(PkgID.AUTHOR_EVENT)
            validator(document, "AUTHOR_EVENT.push").validate(event)
            about = event["data"]["author"]["id"]
        await ask(SystemPacket.PRESENCE, {"topic": "authors"})
        await ask(SystemPacket.UNSUBSCRIBE, {"topic": "authors"})
        assert seen == {PkgID[name] for name in packets if name in PkgID.__members__} | {
            number for number in SystemPacket if number.name in packets and number is not SystemPacket.CANCEL
        }, "a new packet belongs into this test"

        refusal = validator(document, "refusal")
        refusal.validate(await client.ask(PkgID.CREATE_AUTHOR, {"name": ""}))
        refusal.validate(await client.ask(PkgID.DELETE_AUTHOR, {"id": 2**62}))
        refusal.validate(await client.ask(9999))
        await client.send_value({"pkg_id": "x"})
        refusal.validate(await client.receive())
