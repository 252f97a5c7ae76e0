import asyncio
import base64
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import example, given, settings
from hypothesis import strategies as st

from starpost.auth.claims import ClaimsPolicy
from starpost.auth.jwks import MAX_WAITING, KeySet
from starpost.auth.principal import Principal
from starpost.auth.realm import DevelopmentRealmError
from starpost.auth.revocation import MemoryRevocationList, Revocation
from starpost.auth.verifier import MAX_TOKEN_BYTES, RealmVerifier, TokenVerifier
from starpost.errors import AppError, TokenExpiredError, UnauthenticatedError, UnavailableError
from starpost.settings import Settings
from starpost.testing.issuer import EC_KEY, OTHER_RSA_KEY, RSA_KEY, Issuer, SigningKey, claims

ISSUER = "https://keycloak.example/realms/starpost"


class Clock:
    """A clock that a test can move; it starts at the real time, because tokens carry it."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


async def never() -> bytes:
    raise AssertionError("Keycloak was asked on the way of a request")


async def warm(*keys: SigningKey) -> KeySet:
    """A key set that knows the keys, and fetches no others."""
    answers = [json.dumps({"keys": [key.jwk() for key in keys]}).encode()]

    async def fetch() -> bytes:
        return answers.pop() if answers else await never()

    key_set = KeySet(fetch, cooldown=60)
    await key_set.refresh()
    return key_set


async def offline_verifier(
    *keys: SigningKey,
    clock: Clock | None = None,
    cache_size: int = 100,
    revocations: MemoryRevocationList | None = None,
) -> TokenVerifier:
    return TokenVerifier(
        await warm(*(keys or (RSA_KEY, EC_KEY))),
        ClaimsPolicy(issuer=ISSUER, client_id="starpost", leeway=2),
        revocations=revocations or MemoryRevocationList(),
        cache_size=cache_size,
        clock=clock or time.time,
    )


def token(key: SigningKey = RSA_KEY, **members: Any) -> str:
    return key.sign(claims(ISSUER, **members))


async def refusal(verifier: TokenVerifier, bad: str) -> AppError:
    with pytest.raises(AppError) as caught:
        await verifier.verify(bad)
    return caught.value


def segment(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


async def test_a_good_token_says_who_and_with_which_roles() -> None:
    principal = await (await offline_verifier()).verify(token(exp=2_000_000_000, iat=1_500_000_000))

    assert principal == Principal(
        user_id="5f0a11ce-0000-4000-8000-000000000001",
        username="alice",
        roles=frozenset({"author-reader", "offline_access", "admin"}),
        issued_at=1_500_000_000,
        expires_at=2_000_000_000,
        session_id="f0c3",
        key_id="rsa-1",
    )


async def test_roles_in_other_clients_are_not_ours() -> None:
    only_other = token(realm_access=None, resource_access={"other-app": {"roles": ["admin"]}})

    assert (await (await offline_verifier()).verify(only_other)).roles == frozenset()


async def test_a_service_account_has_no_session() -> None:
    principal = await (await offline_verifier()).verify(token(sid=None, preferred_username=None))

    assert principal.session_id is None
    assert principal.username == principal.user_id


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"])
async def test_every_allowed_algorithm_verifies(algorithm: str) -> None:
    key = SigningKey(algorithm)

    assert (await (await offline_verifier(key)).verify(token(key))).username == "alice"


NOW = int(time.time())


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"iss": "https://keycloak.example/realms/other"}, id="another realm"),
        pytest.param({"iss": ISSUER + "/"}, id="nearly the issuer"),
        pytest.param({"iss": None}, id="no issuer"),
        pytest.param({"iss": [ISSUER]}, id="issuer of another type"),
        pytest.param({"aud": "other-app", "azp": "other-app"}, id="another client"),
        pytest.param({"aud": None, "azp": None}, id="no client"),
        pytest.param({"aud": ["account"], "azp": "starpost2"}, id="nearly the client"),
        pytest.param({"aud": "other-api"}, id="another API, through our client"),
        pytest.param({"aud": ["account", "other-api"]}, id="another API beside the account console"),
        pytest.param({"aud": ""}, id="empty audience"),
        pytest.param({"cnf": {"jkt": "x"}}, id="bound to a key"),
        pytest.param({"aud": {"starpost": 1}}, id="audience of another type"),
        pytest.param({"aud": ["starpost", 1]}, id="audience with another type"),
        pytest.param({"typ": "ID"}, id="ID token"),
        pytest.param({"typ": "Refresh"}, id="refresh token"),
        pytest.param({"typ": "Logout"}, id="logout token"),
        pytest.param({"typ": None}, id="no type"),
        pytest.param({"exp": None}, id="no expiry"),
        pytest.param({"exp": str(NOW + 300)}, id="expiry as text"),
        pytest.param({"exp": True}, id="expiry true"),
        pytest.param({"exp": 10**400}, id="expiry beyond every number"),
        pytest.param({"exp": -1}, id="negative expiry"),
        pytest.param({"exp": [NOW + 300]}, id="expiry list"),
        pytest.param({"iat": None}, id="no time of issue"),
        pytest.param({"iat": NOW + 3600, "exp": NOW + 7200}, id="issued in the future"),
        pytest.param({"iat": NOW, "exp": NOW - 1}, id="expires before it is issued"),
        pytest.param({"nbf": NOW + 3600}, id="not valid yet"),
        pytest.param({"nbf": "now"}, id="nbf as text"),
        pytest.param({"sub": None}, id="no subject"),
        pytest.param({"sub": ""}, id="empty subject"),
        pytest.param({"sub": 7}, id="subject of another type"),
        pytest.param({"sub": "x" * 5000}, id="endless subject"),
        pytest.param({"sid": 7}, id="session of another type"),
        pytest.param({"preferred_username": {"a": 1}}, id="name of another type"),
        pytest.param({"realm_access": {"roles": "admin"}}, id="roles are text"),
        pytest.param({"realm_access": {"roles": [["admin"]]}}, id="roles are lists"),
        pytest.param({"realm_access": ["admin"]}, id="realm access is a list"),
        pytest.param({"resource_access": {"starpost": None}}, id="client access is null"),
    ],
)
async def test_claims_that_do_not_fit_are_refused(members: dict[str, Any]) -> None:
    error = await refusal(await offline_verifier(), token(**members))

    assert isinstance(error, UnauthenticatedError)
    assert error.code == "invalid_token"


@pytest.mark.parametrize(
    "members",
    [
        {"aud": "starpost", "azp": "starpost-service"},
        {"aud": ["other-api", "starpost"], "azp": "other-app"},
        {"aud": "account"},
        {"aud": ["account"]},
        {"aud": None},
        {"aud": []},
    ],
)
async def test_the_audience_decides_and_the_authorized_party_where_it_names_nobody(members: dict[str, Any]) -> None:
    await (await offline_verifier()).verify(token(**members))


async def test_an_expired_token_is_told_apart() -> None:
    error = await refusal(await offline_verifier(), token(exp=NOW - 3600, iat=NOW - 7200))

    assert isinstance(error, TokenExpiredError)
    assert error.code == "token_expired"


async def test_the_leeway_is_for_clocks_not_for_more() -> None:
    clock = Clock()
    verifier = await offline_verifier(clock=clock)
    good = token(exp=int(clock.now) + 10, iat=int(clock.now) + 1)

    await verifier.verify(good)
    clock.now = int(clock.now) + 10 + 1.9
    await verifier.verify(good)
    clock.now += 0.1
    assert isinstance(await refusal(verifier, good), TokenExpiredError)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param({"jku": "http://127.0.0.1:9/evil"}, id="jku"),
        pytest.param({"x5u": "http://127.0.0.1:9/evil"}, id="x5u"),
        pytest.param({"jwk": OTHER_RSA_KEY.jwk()}, id="jwk"),
        pytest.param({"x5c": ["MIIB"]}, id="x5c"),
    ],
)
async def test_a_key_in_the_header_is_not_followed(header: dict[str, Any]) -> None:
    forged = OTHER_RSA_KEY.sign(claims(ISSUER), kid="rsa-1", **header)

    assert isinstance(await refusal(await offline_verifier(), forged), UnauthenticatedError)


@pytest.mark.parametrize("kid", [None, 7, ["rsa-1"], {"rsa-1": 1}])
async def test_a_token_must_name_its_key(kid: Any) -> None:
    header = {"alg": "RS256"} | ({} if kid is None else {"kid": kid})
    signature = RSA_KEY.sign(claims(ISSUER)).rsplit(".", 1)[1]
    forged = f"{segment(header)}.{segment(claims(ISSUER))}.{signature}"

    assert isinstance(await refusal(await offline_verifier(), forged), UnauthenticatedError)


@pytest.mark.parametrize("crit", [["exp"], ["b64"], [], "b64", None])
async def test_no_critical_extension_is_understood(crit: Any) -> None:
    header = segment({"alg": "RS256", "kid": "rsa-1", "crit": crit, "b64": True})
    payload = segment(claims(ISSUER))
    algorithm = jwt.get_algorithm_by_name("RS256")
    signature = segment(algorithm.sign(f"{header}.{payload}".encode(), RSA_KEY.private))

    assert isinstance(await refusal(await offline_verifier(), f"{header}.{payload}.{signature}"), UnauthenticatedError)


@pytest.mark.parametrize("typ", ["logout+jwt", "application/logout+jwt", "dpop+jwt", 7, ["JWT"]])
async def test_a_header_that_names_another_type_is_refused(typ: Any) -> None:
    other = RSA_KEY.sign(claims(ISSUER), typ=typ)

    assert isinstance(await refusal(await offline_verifier(), other), UnauthenticatedError)


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "application/at+jwt", None])
async def test_a_header_that_names_an_access_token_or_nothing_is_accepted(typ: str | None) -> None:
    await (await offline_verifier()).verify(RSA_KEY.sign(claims(ISSUER), typ=typ))


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "NONE", "HS256", "HS384", "HS512", "ES256K", "", None, 7, ["RS256"]]
)
async def test_no_other_algorithm_is_taken(algorithm: Any) -> None:
    pem = RSA_KEY.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signing_input = f"{segment({'alg': algorithm, 'kid': 'rsa-1'})}.{segment(claims(ISSUER))}".encode()
    # The public key as the secret: what RFC 8725, 2.1 warns of.
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    signed = base64.urlsafe_b64encode(signature.sign(signing_input, pem)).rstrip(b"=").decode()
    verifier = await offline_verifier()

    for end in ("", signed):
        assert isinstance(await refusal(verifier, f"{signing_input.decode()}.{end}"), UnauthenticatedError)


async def test_a_key_verifies_its_own_algorithm_only() -> None:
    rs512 = SigningKey("RS512", kid="rsa-1")
    rs512.private = RSA_KEY.private

    assert isinstance(await refusal(await offline_verifier(), token(rs512)), UnauthenticatedError)
    assert isinstance(
        await refusal(await offline_verifier(), EC_KEY.sign(claims(ISSUER), kid="rsa-1")), UnauthenticatedError
    )


async def test_a_changed_token_is_refused() -> None:
    verifier = await offline_verifier()
    header, payload, signature = token().split(".")
    promoted = segment(claims(ISSUER, realm_access={"roles": ["admin"]}))
    for forged in (
        f"{header}.{promoted}.{signature}",
        f"{header}.{payload}.",
        f"{header}.{payload}.{signature[:-4]}AAAA",
        f"{header}.{payload}",
        f"{header}.{payload}.{signature}.{signature}",
        f"..{signature}",
        "",
        "…",
        "\ud800",
        "eyJ",
    ):
        assert isinstance(await refusal(verifier, forged), UnauthenticatedError)


async def test_an_endless_token_is_refused_before_any_work() -> None:
    verifier = await offline_verifier()

    error = await refusal(verifier, token(padding="x" * MAX_TOKEN_BYTES))
    assert "too long" in error.msg


NESTED = b'{"a":' * 2000 + b"1" + b"}" * 2000

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
claim_names = st.sampled_from([*sorted(claims(ISSUER)), "nbf"])


@given(members=st.dictionaries(claim_names, json_values, max_size=5))
@example(members={"exp": 1e308, "iat": 0})
@example(members={"iat": 2**53})
@settings(max_examples=150)
def test_signed_claims_of_any_shape_are_accepted_or_refused_never_a_crash(members: dict[str, Any]) -> None:
    async def check() -> None:
        verifier = await offline_verifier(EC_KEY)
        try:
            principal = await verifier.verify(EC_KEY.sign(claims(ISSUER) | members))
        except UnauthenticatedError:
            return
        assert isinstance(principal.username, str)
        assert all(isinstance(role, str) for role in principal.roles)
        assert 0 <= principal.issued_at <= principal.expires_at

    asyncio.run(check())


@given(
    payload=st.one_of(
        st.binary(max_size=200),
        json_values.map(lambda value: json.dumps(value).encode()),
        st.sampled_from(
            [
                NESTED,
                b'{"sub":"\\ud800"}',
                b'{"exp":NaN}',
                json.dumps(claims(ISSUER, sub="\ud800")).encode(),
                json.dumps(claims(ISSUER)).encode()[:-1] + b',"x":' + b"[" * 9000,
                json.dumps(claims(ISSUER)).encode()[:-1] + b',"x":' + NESTED + b"",
                json.dumps(claims(ISSUER)).encode().replace(b"alice", b"\xff\xfe"),
            ]
        ),
    )
)
@settings(max_examples=150)
def test_a_signed_payload_of_any_bytes_is_refused(payload: bytes) -> None:
    async def check() -> None:
        verifier = await offline_verifier(EC_KEY)
        assert isinstance(await refusal(verifier, EC_KEY.sign(payload)), UnauthenticatedError)

    asyncio.run(check())


@given(
    text=st.one_of(
        st.text(max_size=200),
        st.from_regex(r"[A-Za-z0-9_=-]{0,40}\.[A-Za-z0-9_=-]{0,40}\.[A-Za-z0-9_=-]{0,40}", fullmatch=True),
        st.builds(
            lambda header, payload: f"{segment(header)}.{segment(payload)}.AAAA",
            st.dictionaries(
                st.sampled_from(["alg", "kid", "crit", "b64", "typ", "jwk"]), json_values | st.just("RS256")
            ),
            json_values,
        ),
    )
)
@settings(max_examples=300)
def test_text_of_any_kind_is_refused(text: str) -> None:
    async def check() -> None:
        assert isinstance(await refusal(await offline_verifier(EC_KEY), text), UnauthenticatedError)

    asyncio.run(check())


async def test_a_remembered_token_is_known_without_any_await() -> None:
    verifier = await offline_verifier()
    good = token()
    assert verifier.cached(good.encode()) is None
    principal = await verifier.verify(good)

    assert verifier.cached(good.encode()) is principal
    with pytest.raises(StopIteration) as done:
        verifier.verify(good).send(None)
    assert done.value.value is principal


async def test_a_known_key_is_enough_to_verify_without_any_await() -> None:
    verifier = await offline_verifier()

    with pytest.raises(StopIteration):
        verifier.verify(token()).send(None)


async def test_the_cache_forgets_at_expiry() -> None:
    clock = Clock()
    verifier = await offline_verifier(clock=clock)
    good = token(exp=int(clock.now) + 30)
    await verifier.verify(good)
    clock.now += 29
    assert verifier.cached(good.encode()) is not None
    clock.now += 1
    assert verifier.cached(good.encode()) is None
    clock.now += 60
    assert isinstance(await refusal(verifier, good), TokenExpiredError)


async def test_the_cache_is_bounded_and_the_oldest_goes_first() -> None:
    verifier = await offline_verifier(cache_size=2)
    tokens = [token(EC_KEY) for _ in range(3)]
    for one in tokens:
        await verifier.verify(one)

    assert [verifier.cached(one.encode()) is not None for one in tokens] == [False, True, True]


async def test_without_a_cache_every_token_is_verified_anew() -> None:
    verifier = await offline_verifier(cache_size=0)
    good = token()

    assert await verifier.verify(good) == await verifier.verify(good)
    assert verifier.cached(good.encode()) is None


async def test_the_cache_holds_no_token() -> None:
    verifier = await offline_verifier()
    good = token()
    await verifier.verify(good)

    held = repr(vars(verifier)) + repr(verifier._cache)
    assert good not in held
    assert good.rsplit(".", 1)[1] not in held


async def test_a_refused_token_is_not_remembered() -> None:
    verifier = await offline_verifier()
    bad = token(typ="ID")
    await refusal(verifier, bad)

    assert verifier.cached(bad.encode()) is None


@pytest.mark.parametrize("is_remembered", [True, False])
async def test_an_ended_session_is_refused_remembered_or_not(is_remembered: bool) -> None:
    revocations = MemoryRevocationList()
    verifier = await offline_verifier(revocations=revocations)
    ended, other = token(sid="ended"), token(sid="other")
    if is_remembered:
        await verifier.verify(ended)
    revocations.add(Revocation("session", "ended", 0.0, time.time() + 300))

    assert isinstance(await refusal(verifier, ended), UnauthenticatedError)
    await verifier.verify(other)


async def test_a_user_is_refused_with_the_tokens_of_before() -> None:
    revocations = MemoryRevocationList()
    verifier = await offline_verifier(revocations=revocations)
    now = int(time.time())
    before, after = token(iat=now - 10), token(iat=now)
    await verifier.verify(before)
    revocations.add(Revocation("user", claims(ISSUER)["sub"], now - 5, now + 300))

    assert isinstance(await refusal(verifier, before), UnauthenticatedError)
    await verifier.verify(after)


async def test_nobody_is_judged_before_the_revocations_have_been_read() -> None:
    revocations = MemoryRevocationList(is_known=False)
    verifier = await offline_verifier(revocations=revocations)
    good = token()
    assert isinstance(await refusal(verifier, good), UnavailableError)
    assert verifier.cached(good.encode()) is None

    revocations.is_known = True
    await verifier.verify(good)


async def test_a_principal_that_was_verified_before_is_looked_at_again() -> None:
    revocations = MemoryRevocationList()
    verifier = await offline_verifier(revocations=revocations)
    principal = await verifier.verify(token(sid="ended"))
    verifier.check(principal)
    revocations.add(Revocation("session", "ended", 0.0, time.time() + 300))

    with pytest.raises(UnauthenticatedError, match="ended"):
        verifier.check(principal)


async def test_what_a_withdrawn_key_signed_is_forgotten() -> None:
    documents = [[RSA_KEY, EC_KEY], [EC_KEY]]
    keys = KeySet(lambda: answer(documents.pop(0)), cooldown=60)
    await keys.refresh()
    policy = ClaimsPolicy(issuer=ISSUER, client_id="starpost", leeway=2)
    verifier = TokenVerifier(keys, policy, revocations=MemoryRevocationList())
    told: list[frozenset[str]] = []
    verifier.on_keys_withdrawn = told.append
    withdrawn, good = token(RSA_KEY), token(EC_KEY)
    principal = await verifier.verify(withdrawn)
    await verifier.verify(good)

    await keys.refresh()

    assert verifier.cached(withdrawn.encode()) is None
    assert verifier.cached(good.encode()) is not None
    assert told == [{"rsa-1"}]
    with pytest.raises(UnauthenticatedError, match="withdrawn"):
        verifier.check(principal)


async def answer(keys: list[SigningKey]) -> bytes:
    return json.dumps({"keys": [key.jwk() for key in keys]}).encode()


async def test_a_token_that_would_outlive_its_revocation_is_refused() -> None:
    policy = ClaimsPolicy(issuer=ISSUER, client_id="starpost", leeway=2, max_lifetime=600)
    verifier = TokenVerifier(await warm(RSA_KEY), policy, revocations=MemoryRevocationList())
    now = int(time.time())
    await verifier.verify(token(iat=now, exp=now + 600))

    assert "TOKEN_MAX_LIFETIME" in (await refusal(verifier, token(iat=now, exp=now + 601))).msg


class TestAgainstAServer:
    """The verifier as the application makes it, against documents that come over HTTP."""

    async def test_warm_up_and_then_no_call(self, issuer: Issuer) -> None:
        verifier = RealmVerifier(issuer.settings())
        await verifier.warm_up()
        assert verifier.is_ready
        issuer.stop()

        assert (await verifier.verify(issuer.token())).username == "alice"
        assert issuer.jwks_fetches == 1
        await verifier.close()

    async def test_rotation(self, issuer: Issuer) -> None:
        verifier = RealmVerifier(issuer.settings())
        await verifier.warm_up()
        old = issuer.token()
        issuer.keys = [OTHER_RSA_KEY.jwk(), RSA_KEY.jwk()]

        tokens = [issuer.token(OTHER_RSA_KEY) for _ in range(20)]
        assert len(await asyncio.gather(*(verifier.verify(token) for token in tokens))) == 20
        await verifier.verify(old)
        assert issuer.jwks_fetches == 2
        await verifier.close()

    async def test_tokens_that_would_be_refused_anyway_cost_no_fetch(self, issuer: Issuer) -> None:
        verifier = RealmVerifier(issuer.settings())
        await verifier.warm_up()
        for members in ({"iss": ISSUER}, {"typ": "ID"}, {"exp": 1, "iat": 0}, {"aud": "x", "azp": "x"}):
            error = await refusal(verifier, issuer.token(OTHER_RSA_KEY, **members))
            assert error.code == "invalid_token", "nothing is told to somebody who signed with a key of his own"
        assert issuer.jwks_fetches == 1
        await verifier.close()

    async def test_a_key_that_the_realm_does_not_have(self, issuer: Issuer) -> None:
        verifier = RealmVerifier(issuer.settings())
        await verifier.warm_up()
        forged = [issuer.token(OTHER_RSA_KEY, iat=int(time.time()) - 5) for _ in range(20)]
        answers = await asyncio.gather(*(verifier.verify(token) for token in forged), return_exceptions=True)

        assert {type(answer) for answer in answers} == {UnauthenticatedError}
        assert isinstance(await refusal(verifier, forged[0]), UnauthenticatedError)
        assert issuer.jwks_fetches == 2
        await verifier.close()

    async def test_keycloak_away_at_start(self, issuer: Issuer) -> None:
        issuer.stop()
        verifier = RealmVerifier(issuer.settings(KEYCLOAK_JWKS_COOLDOWN="0.05"))
        await verifier.warm_up()
        states = [verifier.is_ready]
        assert isinstance(await refusal(verifier, issuer.token()), UnavailableError)
        issuer.start()

        async with asyncio.timeout(100):
            while not states[-1]:
                try:
                    await verifier.verify(issuer.token())
                except UnavailableError as error:
                    await asyncio.sleep(error.retry_after or 0)
                states.append(verifier.is_ready)
        assert states[0] is False
        await verifier.close()

    async def test_keycloak_away_later(self, issuer: Issuer) -> None:
        verifier = RealmVerifier(issuer.settings())
        await verifier.warm_up()
        issuer.stop()

        await verifier.verify(issuer.token())
        assert isinstance(await refusal(verifier, issuer.token(OTHER_RSA_KEY)), UnavailableError)
        assert isinstance(await refusal(verifier, issuer.token(OTHER_RSA_KEY)), UnavailableError)
        assert isinstance(await refusal(verifier, "nonsense"), UnauthenticatedError)
        await verifier.close()

    async def test_a_flood_of_invented_keys_while_keycloak_hangs(self, issuer: Issuer) -> None:
        verifier = RealmVerifier(issuer.settings())
        await verifier.warm_up()
        issuer.released.clear()
        issuer.arrived.clear()
        forger = SigningKey("ES256")
        flood = [
            asyncio.create_task(verifier.verify(forger.sign(claims(issuer.url), kid=f"invented-{number}")))
            for number in range(2 * MAX_WAITING)
        ]
        async with asyncio.timeout(100):
            while sum(task.done() for task in flood) < MAX_WAITING or not issuer.arrived.is_set():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

        assert sum(task.done() for task in flood) == MAX_WAITING
        await verifier.verify(issuer.token()), "a known key"
        issuer.released.set()
        outcomes = await asyncio.gather(*flood, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} <= {UnavailableError, UnauthenticatedError}
        assert issuer.jwks_fetches <= 3
        await verifier.close()

    async def test_keycloak_that_answers_without_end(self) -> None:
        """A byte now and then: no single read takes too long, the whole of it does."""

        async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            try:
                while True:
                    writer.write(b" ")
                    await writer.drain()
                    await asyncio.sleep(0.02)
            except ConnectionError:
                writer.close()

        async with await asyncio.start_server(trickle, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            settings = {"KEYCLOAK_BASE_URL": f"http://127.0.0.1:{port}", "KEYCLOAK_TIMEOUT": "0.2"}
            verifier = RealmVerifier(Settings.from_strings(settings))
            async with asyncio.timeout(100):
                await verifier.warm_up()
            assert not verifier.is_ready
            await verifier.close()

    async def test_keycloak_in_trouble(self, issuer: Issuer) -> None:
        issuer.status = 502
        verifier = RealmVerifier(issuer.settings())
        await verifier.warm_up()

        assert isinstance(await refusal(verifier, issuer.token()), UnavailableError)
        await verifier.close()

    async def test_production_refuses_the_development_realm(self, issuer: Issuer) -> None:
        issuer.metadata = {"development_realm": True}
        production = issuer.settings(
            ENVIRONMENT="production",
            ALLOWED_HOSTS="app.example.org",
            KEYCLOAK_ADMIN_PASSWORD="x",
            DB_PASSWORD="y",
            REDIS_PASSWORD="z",
            WS_QUERY_TOKEN="false",
        )
        verifier = RealmVerifier(production)
        with pytest.raises(DevelopmentRealmError):
            await verifier.warm_up()

        assert isinstance(await refusal(verifier, issuer.token()), UnavailableError)
        await verifier.close()

    async def test_development_takes_the_development_realm(self, issuer: Issuer) -> None:
        issuer.metadata = {"development_realm": True}
        verifier = RealmVerifier(issuer.settings())
        await verifier.warm_up()

        await verifier.verify(issuer.token())
        await verifier.close()
