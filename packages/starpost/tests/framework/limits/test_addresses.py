import pytest

from starpost.limits import AddressLimit
from starpost.limits.addresses import SLOTS, address_of, group_of
from tests.framework.limits.clock import Clock


def test_an_address_has_its_rate() -> None:
    clock = Clock()
    limit = AddressLimit(2, clock)
    assert [limit.take("192.0.2.1") > 0 for _ in range(5)] == [False] * 4 + [True]
    clock.now += 0.5
    assert limit.take("192.0.2.1") == 0.0
    assert limit.take("192.0.2.1") == pytest.approx(0.5)


def test_what_is_given_back_can_be_taken_again() -> None:
    limit = AddressLimit(1, Clock())
    for _ in range(100):
        assert limit.take("192.0.2.1") == 0.0
        limit.give_back("192.0.2.1")
    assert [limit.take("192.0.2.1") > 0 for _ in range(3)] == [False, False, True]


def test_no_limit() -> None:
    limit = AddressLimit(0, Clock())
    assert not any(limit.take("192.0.2.1") for _ in range(1000))
    limit.give_back("192.0.2.1")


@pytest.mark.parametrize(
    ("one", "other", "is_one"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("no:address", "no:other", False),
        ("", "", True),
    ],
)
def test_whom_an_address_stands_for(one: str, other: str, is_one: bool) -> None:
    assert (group_of(one) == group_of(other)) == is_one


def test_a_whole_network_of_ipv6_is_one_client() -> None:
    limit = AddressLimit(10, Clock())
    passed = sum(not limit.take(f"2001:db8::{number:x}") for number in range(1000))
    assert passed == 20


def test_an_attack_from_many_addresses_costs_no_memory_and_closes_nothing_to_most() -> None:
    clock = Clock()
    limit = AddressLimit(10, clock)
    for attacker in range(1000):
        for _ in range(30):
            limit.take(f"2001:db8:{attacker:x}::1")
    assert len(limit._full_at) == SLOTS
    # Everyone else shares a bucket with one of the attackers by chance alone: 1000 of 65,536.
    refused = sum(limit.take(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}") > 0 for n in range(2000))
    assert refused < 200


def test_the_address_of_a_scope() -> None:
    assert address_of({"client": ("192.0.2.1", 1234)}) == "192.0.2.1"
    assert address_of({"client": None}) == ""
    assert address_of({}) == ""
