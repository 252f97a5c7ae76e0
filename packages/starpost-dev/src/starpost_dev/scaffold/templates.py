"""Templates of the generated code."""

from collections.abc import Iterable
from typing import Any

from starpost_dev.scaffold.packet import Member, Packet


def new_domain(packet: Packet, module: str) -> dict[str, str]:
    """Return the modules of a new domain, without the packet."""
    title = packet.domain.replace("_", " ").capitalize()
    return {
        "__init__.py": f'''"""{title}."""

from {module}.domains.{packet.domain}.packets import pkg_router
from starpost import Domain

domain = Domain(name="{packet.domain}", packets=[pkg_router])
''',
        "schemas.py": '"""Payloads and replies."""\n',
        "packets.py": f'''"""{title} over the socket."""

from starpost import PackageRouter

pkg_router = PackageRouter()
''',
    }


def schemas(packet: Packet) -> tuple[list[str], str]:
    """Return imports and structs."""
    structs = []
    if packet.fields:
        structs.append(_struct(packet.request_class, f"Payload of {packet.name}.", packet.fields))
    if packet.reply.members:
        said = "Item of the reply" if packet.reply.is_list else "Reply"
        structs.append(_struct(packet.reply_class, f"{said} to {packet.name}.", packet.reply.members))
    imports = {member.kind.imports for member in (*packet.fields, *packet.reply.members)} - {""}
    return [*sorted(imports), "from msgspec import Struct"], "\n\n\n".join(structs)


def _struct(name: str, docstring: str, members: Iterable[Member]) -> str:
    lines = [f"class {name}(Struct, frozen=True):", f'    """{docstring}"""', ""]
    for member in members:
        default = "" if member.default is None else f" = {member.default}"
        lines.append(f"    {member.name}: {member.annotation}{default}")
    return "\n".join(lines)


def handler(packet: Packet, router: str, module: str) -> tuple[list[str], str]:
    """Return imports and handler. Members of the reply come from the payload if it has them, else they are examples."""
    imports = ["from starpost import RequestModel"] if packet.fields else []
    imports.append(f"from {module}.pkg_ids import PkgID")
    used = [name for name, is_used in _structs(packet) if is_used]
    if used:
        imports.append(f"from {module}.domains.{packet.domain}.schemas import {', '.join(used)}")
    request = f"request: RequestModel[{packet.request_class}]" if packet.fields else ""
    body = []
    shared = [member for member in packet.reply.members if _is_shared(member, packet)]
    if packet.fields and not shared:
        # The handler logs the request: the style check refuses an unused parameter, and it cannot be renamed.
        imports.append("import structlog")
        first = packet.fields[0].name
        body.append(f'structlog.get_logger(__name__).info("{packet.function}", {first}=request.data.{first})')
    if not packet.reply.members:
        imports.append("from starpost import NoData")
        returned, answer = "NoData", "NoData()"
    else:
        if len(shared) < len(packet.reply.members):
            body.append("# Examples stand here for what the domain will answer.")
        imports += sorted({member.kind.imports for member in packet.reply.members if _code_needs(member, packet)})
        values = ", ".join(f"{member.name}={_value(member, packet)}" for member in packet.reply.members)
        answer = f"{packet.reply_class}({values})"
        returned = packet.reply_class
        if packet.reply.is_list:
            returned, answer = f"list[{returned}]", f"[{answer}]"
    body.append(f"return {answer}")
    text = "\n    ".join(
        [
            f"@{router}.register(PkgID.{packet.name})\nasync def {packet.function}({request}) -> {returned}:",
            f'"""{packet.summary}"""',
            *body,
        ]
    )
    return imports, text


def _structs(packet: Packet) -> list[tuple[str, bool]]:
    return [(packet.request_class, bool(packet.fields)), (packet.reply_class, bool(packet.reply.members))]


def _is_shared(member: Member, packet: Packet) -> bool:
    """Return whether the payload has the same member, so that the handler can return its value."""
    return any(field.name == member.name and field.annotation == member.annotation for field in packet.fields)


def _code_needs(member: Member, packet: Packet) -> bool:
    return bool(member.kind.code) and not member.is_optional and not _is_shared(member, packet)


def _value(member: Member, packet: Packet) -> str:
    if _is_shared(member, packet):
        return f"request.data.{member.name}"
    return "None" if member.is_optional else member.sample_code


def test(packet: Packet, roles: list[str], module: str) -> str:
    """Return a test that sends the packet over a real socket: allowed, refused and, if possible, with invalid data.

    Args:
        packet: The packet.
        roles: Roles that together satisfy the rule.
        module: Package of the application.
    """
    data = {member.name: member.sample for member in packet.fields}
    answer = _answer(packet, data)
    needs = "nobody else" if roles else "nobody without a token"
    tests = [
        f'''"""{packet.name} over a real socket."""

from {module}.pkg_ids import PkgID
from starpost.testing import Issuer, Serve, packet_client


async def test_{packet.function}(serve: Serve, issuer: Issuer) -> None:
    token = issuer.token(realm_access={{"roles": {roles!r}}}, resource_access=None)
    async with packet_client(serve().port, token) as client:
        reply = await client.ask(PkgID.{packet.name}, {data!r})
    assert reply["status_code"] == 0, reply
    assert reply["data"] == {answer!r}
''',
        f"""async def test_{packet.function}_is_for_{needs.replace(" ", "_")}(serve: Serve, issuer: Issuer) -> None:
{_refused(packet, data, roles)}
""",
    ]
    required = [f"$.{member.name}" for member in packet.fields if member.is_required]
    if required:
        tests.append(
            f"""async def test_{packet.function}_needs_its_data(serve: Serve, issuer: Issuer) -> None:
    token = issuer.token(realm_access={{"roles": {roles!r}}}, resource_access=None)
    async with packet_client(serve().port, token) as client:
        reply = await client.ask(PkgID.{packet.name}, {{}})
    assert reply["status_code"] == 2
    assert [error["path"] for error in reply["data"]["errors"]] == {required!r}
"""
        )
    return "\n\n".join(tests)


def _refused(packet: Packet, data: dict[str, Any], roles: list[str]) -> str:
    if roles:
        return f"""    token = issuer.token(realm_access={{"roles": []}}, resource_access=None)
    async with packet_client(serve().port, token) as client:
        reply = await client.ask(PkgID.{packet.name}, {data!r})
    assert (reply["status_code"], reply["data"]["code"]) == (3, "permission_denied")"""
    return f"""    async with packet_client(serve().port) as client:
        reply = await client.ask(PkgID.{packet.name}, {data!r})
    assert (reply["status_code"], reply["data"]["code"]) == (9, "invalid_token")"""


def _answer(packet: Packet, data: dict[str, Any]) -> Any:
    answer = {}
    for member in packet.reply.members:
        if _is_shared(member, packet):
            answer[member.name] = data[member.name]
        else:
            answer[member.name] = None if member.is_optional else member.sample
    return [answer] if packet.reply.is_list else answer
