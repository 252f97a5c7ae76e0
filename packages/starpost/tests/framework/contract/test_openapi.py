from typing import Annotated, Any

import httpx
import msgspec
import pytest
from jsonschema import Draft202012Validator
from litestar import Litestar, get
from litestar.openapi import OpenAPIConfig
from litestar.params import Parameter

from starpost import Page
from starpost.contract import PageSchema
from starpost.contract.openapi import described
from starpost.contract.rules import rule_as_written
from starpost.rbac import ActionTable
from starpost.rbac.rules import AUTHENTICATED, PUBLIC, AllOf, AnyOf, EitherOf
from starpost.settings import Settings
from starpost.testing import Serve
from starpost.testing.plain_http import NO_TLS, PATIENCE
from tests.framework.contract.conftest import at, client_of, references
from tests.specimen import SPECIMEN


@pytest.fixture(scope="session")
async def document(application: Litestar) -> dict[str, Any]:
    """As it is served."""
    async with client_of(application) as client:
        answer = await client.get("/schema/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def test_signs_in_at_keycloak_as_browsers_reach_it(document: dict[str, Any]) -> None:
    schemes = document["components"]["securitySchemes"]
    flow = schemes["keycloak"]["flows"]["authorizationCode"]
    protocol = "https://sso.example.org/auth/realms/starpost/protocol/openid-connect"
    assert flow["authorizationUrl"] == f"{protocol}/auth"
    assert flow["tokenUrl"] == f"{protocol}/token"
    assert schemes["bearer"] == {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"} | {
        "description": schemes["bearer"]["description"]
    }
    assert [next(iter(each)) for each in document["security"]] == ["keycloak", "bearer"]


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = references(document)
    assert len(found) > 20
    for reference in found:
        at(document, reference)


def test_rules_and_errors_of_a_route(document: dict[str, Any]) -> None:
    operation = document["paths"]["/authors/{author_id}"]["delete"]
    assert operation["x-rule"] == "admin"
    assert operation["summary"] == "Remove an author."
    assert operation["description"] == "Who may: `admin`."
    assert "security" not in operation, "the document's own holds"
    for status in ("400", "401", "403", "default"):
        response = operation["responses"][status]
        response = at(document, response["$ref"]) if "$ref" in response else response
        assert response["content"] == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


def test_page_is_described_with_both_kinds_of_meta(document: dict[str, Any]) -> None:
    content = document["paths"]["/authors"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert content["required"] == ["items", "meta"]
    author = at(document, content["properties"]["items"]["items"]["$ref"])
    assert author["required"] == ["created_at", "id", "name"]
    metas = [at(document, each["$ref"])["required"] for each in content["properties"]["meta"]["oneOf"]]
    assert metas == [["page", "pages", "per_page", "total"], ["has_more", "next", "per_page"]]


async def test_real_problem_is_as_described(document: dict[str, Any], serve: Serve) -> None:
    base_url = f"http://127.0.0.1:{serve(target=SPECIMEN).port}"
    async with httpx.AsyncClient(verify=NO_TLS, base_url=base_url, timeout=PATIENCE) as client:
        answer = await client.get("/authors")
    assert answer.status_code == 401
    schemas = document["components"]["schemas"]
    Draft202012Validator({"$ref": "#/components/schemas/Problem", "components": {"schemas": schemas}}).validate(
        answer.json()
    )


@get("/news", sync_to_thread=False)
def news(limit: Annotated[int, Parameter(le=9)] = 1) -> Page[int]:
    """What is new."""
    raise NotImplementedError


@get("/", include_in_schema=True, sync_to_thread=False)
def unruled() -> None:
    """Nothing."""


def test_public_route_asks_for_no_token() -> None:
    app = Litestar(
        [news, unruled], plugins=[PageSchema()], openapi_config=OpenAPIConfig("Test", "1", use_handler_docstrings=True)
    )
    original = app.openapi_schema.to_schema()
    table = ActionTable.parse(b'{"roles": ["a"], "ws": {}, "http": {"/news": {"GET": "public"}}, "topics": {}}')
    document = described(original, table)
    operation = document["paths"]["/news"]["get"]
    assert operation["security"] == []
    assert operation["summary"] == "What is new."
    assert "401" not in operation["responses"]
    assert operation["responses"]["400"] == {"$ref": "#/components/responses/InvalidData"}
    assert document["paths"]["/"]["get"] == original["paths"]["/"]["get"], "nobody may: nothing to say"
    assert "default" not in original["paths"]["/news"]["get"]["responses"], "Litestar's own document is untouched"


@pytest.mark.parametrize(
    "written", ["role", ["a", "b"], {"any": ["a", "b"]}, "authenticated", "public"], ids=msgspec.json.encode
)
def test_rule_is_written_as_in_the_table(written: Any) -> None:
    document = {"roles": ["role", "a", "b"], "ws": {}, "http": {"/": {"GET": written}}, "topics": {}}
    rule = ActionTable.parse(msgspec.json.encode(document)).http_rule("/", "GET")
    assert rule is not None
    assert rule_as_written(rule) == written


def test_rule_that_nobody_writes_is_refused() -> None:
    with pytest.raises(TypeError, match="not a rule"):
        rule_as_written(EitherOf((PUBLIC, AUTHENTICATED, AllOf(frozenset("a")), AnyOf(frozenset("b")))))


def test_settings_without_public_url_take_the_base_url() -> None:
    assert Settings(keycloak_base_url="http://kc:1/").keycloak_issuer == "http://kc:1/realms/starpost"
