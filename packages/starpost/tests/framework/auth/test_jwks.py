import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from jwt.algorithms import RSAAlgorithm

from starpost.auth.jwks import MAX_WAITING, JWKSError, KeySet, parse_jwks
from starpost.errors import UnavailableError
from starpost.testing.issuer import EC_KEY, OTHER_RSA_KEY, RSA_KEY, SigningKey


def document(*jwks: Any) -> bytes:
    return json.dumps({"keys": jwks}).encode()


def test_keys_are_found_by_their_id_and_bound_to_their_algorithm() -> None:
    keys = parse_jwks(document(RSA_KEY.jwk(), EC_KEY.jwk()))

    assert {kid: key.algorithm_name for kid, key in keys.items()} == {"rsa-1": "RS256", "ec-1": "ES256"}


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256", "ES384", "ES512", "EdDSA"])
def test_every_algorithm_that_a_realm_may_sign_with_is_taken(algorithm: str) -> None:
    key = SigningKey(algorithm)

    assert parse_jwks(document(key.jwk()))[key.kid].algorithm_name == algorithm


def private_jwk() -> Any:
    return json.loads(RSAAlgorithm.to_jwk(OTHER_RSA_KEY.private)) | {"kid": "x", "alg": "RS256", "use": "sig"}


@pytest.mark.parametrize(
    "unusable",
    [
        pytest.param(OTHER_RSA_KEY.jwk(use="enc"), id="for encryption"),
        pytest.param(OTHER_RSA_KEY.jwk(alg="RSA-OAEP"), id="encryption algorithm"),
        pytest.param(OTHER_RSA_KEY.jwk(alg="none"), id="no algorithm"),
        pytest.param(OTHER_RSA_KEY.jwk(kid=None), id="no key id"),
        pytest.param(OTHER_RSA_KEY.jwk(kid=["rsa-2"]), id="key id of another type"),
        pytest.param(OTHER_RSA_KEY.jwk(n=None), id="no modulus"),
        pytest.param(OTHER_RSA_KEY.jwk(n=17, e=[]), id="numbers of another type"),
        pytest.param(OTHER_RSA_KEY.jwk(kty="EC"), id="another type than its members"),
        pytest.param(SigningKey("RS256", bits=1024).jwk(), id="weak"),
        pytest.param(SigningKey("ES384").jwk(alg="ES256"), id="another curve than its algorithm's"),
        pytest.param(EC_KEY.jwk(alg="RS256", kid="x"), id="another type than its algorithm's"),
        pytest.param({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256", "kid": "x", "use": "sig"}, id="symmetric"),
        pytest.param({"kty": "oct", "k": "c2VjcmV0", "kid": "x"}, id="symmetric by default"),
        pytest.param(private_jwk(), id="private"),
        pytest.param({}, id="empty"),
    ],
)
def test_an_unusable_key_is_left_out_and_the_others_are_kept(unusable: dict[str, Any]) -> None:
    assert parse_jwks(document(unusable, RSA_KEY.jwk())).keys() == {"rsa-1"}


@pytest.mark.parametrize(
    "wrong", [b"", b"[]", b"{}", b'{"keys": {}}', b'{"keys": ["x"]}', b'{"keys": []}', b"\xff", b"[" * 200_000]
)
def test_a_document_without_usable_keys_is_refused(wrong: bytes) -> None:
    with pytest.raises(JWKSError):
        parse_jwks(wrong)


class Source:
    """Where a key set fetches from: counts, and answers or fails as told."""

    def __init__(self, *keys: SigningKey) -> None:
        self.keys = list(keys)
        self.fetches = 0
        self.is_away = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def fetch(self) -> bytes:
        self.fetches += 1
        answer = document(*(key.jwk() for key in self.keys))
        await self.gate.wait()
        if self.is_away:
            raise UnavailableError("away")
        return answer


async def eventually(holds: Callable[[], bool], step: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(0)) -> None:
    async with asyncio.timeout(100):
        while not holds():
            await step()


async def test_known_keys_cost_no_fetch() -> None:
    source = Source(RSA_KEY)
    keys = KeySet(source.fetch, cooldown=60)
    await keys.refresh()

    for _ in range(3):
        assert await keys.find("rsa-1", time.time()) is not None
    assert source.fetches == 1


async def test_a_rotated_key_is_fetched_at_its_first_use_without_any_wait() -> None:
    source = Source(RSA_KEY)
    keys = KeySet(source.fetch, cooldown=3600)
    await keys.refresh()
    source.keys = [OTHER_RSA_KEY, RSA_KEY]

    assert await keys.find("rsa-2", time.time()) is not None
    source.keys = [EC_KEY, OTHER_RSA_KEY]
    assert await keys.find("ec-1", time.time()) is not None
    assert keys.keys.keys() == {"ec-1", "rsa-2"}, "a key that the realm withdrew is gone"
    assert source.fetches == 3


async def test_callers_that_come_together_share_one_fetch() -> None:
    source = Source(RSA_KEY)
    source.gate.clear()
    keys = KeySet(source.fetch, cooldown=60)
    found = [asyncio.create_task(keys.find("rsa-1", time.time())) for _ in range(50)]
    await eventually(lambda: source.fetches == 1)
    source.gate.set()

    assert all(await asyncio.gather(*found))
    assert source.fetches == 1


async def test_a_caller_that_goes_away_does_not_take_the_fetch_along() -> None:
    source = Source(RSA_KEY)
    source.gate.clear()
    keys = KeySet(source.fetch, cooldown=60)
    first = asyncio.create_task(keys.find("rsa-1", time.time()))
    second = asyncio.create_task(keys.find("rsa-1", time.time()))
    await eventually(lambda: source.fetches == 1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    source.gate.set()

    assert await second is not None
    assert source.fetches == 1


async def test_after_a_fetch_in_vain_older_tokens_are_refused_without_another() -> None:
    source = Source(RSA_KEY)
    keys = KeySet(source.fetch, cooldown=3600)
    await keys.refresh()

    issued_at = time.time() - 10
    for number in range(20):
        assert await keys.find(f"unknown-{number}", issued_at) is None
    assert source.fetches == 2, "one at the start, one for all the unknown keys"


async def test_during_the_cool_down_a_younger_token_waits_for_the_next_fetch() -> None:
    source = Source(RSA_KEY)
    keys = KeySet(source.fetch, cooldown=0.2)
    await keys.refresh()
    assert await keys.find("garbage", time.time()) is None
    source.keys = [OTHER_RSA_KEY]

    assert await keys.find("rsa-2", time.time()) is not None, "a good token pays for another's garbage with a wait only"
    assert source.fetches == 3


async def test_a_cool_down_longer_than_the_patience_is_answered_with_its_rest() -> None:
    source = Source(RSA_KEY)
    keys = KeySet(source.fetch, cooldown=3600, patience=1)
    await keys.refresh()
    assert await keys.find("garbage", time.time()) is None

    with pytest.raises(UnavailableError) as caught:
        await keys.find("young", time.time())
    assert caught.value.retry_after is not None
    assert 3500 < caught.value.retry_after <= 3600


async def test_a_flood_of_unknown_keys_cannot_pile_up() -> None:
    source = Source(RSA_KEY)
    keys = KeySet(source.fetch, cooldown=600, patience=3600)
    await keys.refresh()
    assert await keys.find("garbage", time.time()) is None
    waiting = [asyncio.create_task(keys.find(f"young-{number}", time.time())) for number in range(300)]
    await eventually(lambda: sum(task.done() for task in waiting) >= 300 - 256)
    refused = {task for task in waiting if task.done()}

    assert len(refused) == 300 - 256
    assert all(isinstance(task.exception(), UnavailableError) for task in refused)
    await keys.close()
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_flood_of_unknown_keys_cannot_pile_up_while_keycloak_hangs() -> None:
    source = Source(RSA_KEY)
    keys = KeySet(source.fetch, cooldown=60)
    await keys.refresh()
    keys = KeySet(source.fetch, cooldown=60)
    source.gate.clear()
    waiting = [asyncio.create_task(keys.find(f"unknown-{n}", time.time() - 10)) for n in range(2 * MAX_WAITING)]
    await eventually(lambda: sum(task.done() for task in waiting) >= MAX_WAITING)
    refused = [task for task in waiting if task.done()]

    assert len(refused) == MAX_WAITING
    for task in refused:
        error = task.exception()
        assert isinstance(error, UnavailableError)
        assert error.retry_after
    source.gate.set()
    assert [await task for task in waiting if task not in refused] == [None] * MAX_WAITING
    assert await keys.find("rsa-1", time.time()) is not None, "the places are free again"


async def test_a_caller_that_goes_away_leaves_its_place() -> None:
    source = Source(RSA_KEY)
    source.gate.clear()
    keys = KeySet(source.fetch, cooldown=60)
    gone = [asyncio.create_task(keys.find(f"unknown-{n}", time.time() - 10)) for n in range(MAX_WAITING)]
    await eventually(lambda: source.fetches == 1)
    for task in gone:
        task.cancel()
    await asyncio.gather(*gone, return_exceptions=True)
    found = asyncio.create_task(keys.find("rsa-1", time.time()))
    await asyncio.sleep(0)
    source.gate.set()

    assert await found is not None


async def test_a_key_that_comes_while_a_fetch_is_under_way_is_found_by_the_next() -> None:
    source = Source(RSA_KEY)
    keys = KeySet(source.fetch, cooldown=0.05)
    source.gate.clear()
    first = asyncio.create_task(keys.refresh())
    await eventually(lambda: source.fetches == 1)
    source.keys = [OTHER_RSA_KEY, RSA_KEY]
    found = asyncio.create_task(keys.find("rsa-2", time.time()))
    await asyncio.sleep(0)
    source.gate.set()

    assert await found is not None
    await first
    assert source.fetches == 2


async def test_keys_are_fetched_again_although_nobody_asks() -> None:
    source = Source(RSA_KEY)
    keys = KeySet(source.fetch, cooldown=3600)
    withdrawn: list[frozenset[str]] = []
    keys.on_withdrawn = withdrawn.append
    await keys.refresh()
    keys.start(0.01)
    await eventually(lambda: source.fetches >= 4, lambda: asyncio.sleep(0.01))
    assert not withdrawn
    source.keys = [OTHER_RSA_KEY]
    await eventually(lambda: "rsa-2" in keys.keys, lambda: asyncio.sleep(0.01))

    assert keys.keys.keys() == {"rsa-2"}
    assert withdrawn == [{"rsa-1"}]
    await keys.close()
    fetches = source.fetches
    await asyncio.sleep(0.05)
    assert source.fetches == fetches, "closed"


async def test_another_key_of_the_same_id_is_another_key() -> None:
    source = Source(RSA_KEY)
    keys = KeySet(source.fetch, cooldown=3600)
    withdrawn: list[frozenset[str]] = []
    keys.on_withdrawn = withdrawn.append
    await keys.refresh()
    source.keys = [SigningKey("RS256", kid="rsa-1")]
    await keys.refresh()

    assert withdrawn == [{"rsa-1"}]


async def test_a_scheduled_fetch_in_vain_costs_no_caller_a_wait() -> None:
    source = Source(RSA_KEY)
    keys = KeySet(source.fetch, cooldown=3600, patience=0)
    await keys.refresh()
    keys.start(0.01)
    await eventually(lambda: source.fetches >= 3, lambda: asyncio.sleep(0.01))
    source.keys = [OTHER_RSA_KEY, RSA_KEY]

    assert await keys.find("rsa-2", time.time()) is not None
    await keys.close()


async def test_a_scheduled_fetch_that_fails_is_tried_again_and_keeps_the_keys() -> None:
    source = Source(RSA_KEY)
    keys = KeySet(source.fetch, cooldown=3600)
    await keys.refresh()
    source.is_away = True
    keys.start(0.05)
    await eventually(lambda: source.fetches >= 4, lambda: asyncio.sleep(0.01))
    assert keys.is_away
    assert await keys.find("rsa-1", time.time()) is not None
    source.is_away = False
    await eventually(lambda: not keys.is_away, lambda: asyncio.sleep(0.01))
    await keys.close()


async def test_keys_that_the_realm_has_not_confirmed_for_long_are_trusted_no_more() -> None:
    source = Source(RSA_KEY)
    keys = KeySet(source.fetch, cooldown=0, max_age=0.1)
    withdrawn: list[frozenset[str]] = []
    keys.on_withdrawn = withdrawn.append
    await keys.refresh()
    source.is_away = True
    keys.start(0.01)
    await eventually(lambda: not keys.keys, lambda: asyncio.sleep(0.01))

    assert withdrawn == [{"rsa-1"}]
    with pytest.raises(UnavailableError):
        await keys.find("rsa-1", time.time())
    source.is_away = False
    await eventually(lambda: "rsa-1" in keys.keys, lambda: asyncio.sleep(0.01))
    await keys.close()


async def test_known_keys_outlive_an_outage_and_unknown_ones_cannot_be_judged() -> None:
    source = Source(RSA_KEY)
    keys = KeySet(source.fetch, cooldown=3600)
    await keys.refresh()
    source.is_away = True

    for number in range(5):
        with pytest.raises(UnavailableError):
            await keys.find(f"unknown-{number}", time.time() - 10)
    assert await keys.find("rsa-1", time.time()) is not None
    assert keys.is_away
    assert source.fetches == 2, "a failed fetch starts the cool-down too"


async def test_an_outage_ends_by_itself() -> None:
    source = Source(RSA_KEY)
    source.is_away = True
    keys = KeySet(source.fetch, cooldown=0.05)
    with pytest.raises(UnavailableError):
        await keys.refresh()
    source.is_away = False

    async def retry() -> None:
        try:
            await keys.find("rsa-1", time.time())
        except UnavailableError as error:
            await asyncio.sleep(error.retry_after or 0)

    await eventually(lambda: "rsa-1" in keys.keys, retry)
    assert not keys.is_away


async def test_nonsense_in_place_of_keys_counts_as_an_outage_and_keeps_the_old_ones() -> None:
    answers = [document(RSA_KEY.jwk()), b'{"keys": []}']

    async def fetch() -> bytes:
        return answers.pop(0)

    keys = KeySet(fetch, cooldown=3600)
    await keys.refresh()
    with pytest.raises(UnavailableError):
        await keys.find("unknown", time.time())
    assert await keys.find("rsa-1", time.time()) is not None


async def test_closing_ends_a_fetch_that_is_under_way() -> None:
    source = Source(RSA_KEY)
    source.gate.clear()
    keys = KeySet(source.fetch, cooldown=60)
    found = asyncio.create_task(keys.find("rsa-1", time.time()))
    await eventually(lambda: source.fetches == 1)
    await keys.close()

    with pytest.raises(asyncio.CancelledError):
        await found
