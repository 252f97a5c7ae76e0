import msgspec

from starpost.auth.principal import Principal
from starpost.auth.revocation import MemoryRevocationList, Revocation

PRINCIPAL = Principal(
    user_id="alice-id", username="alice", roles=frozenset(), issued_at=1000, expires_at=1300, session_id="s1"
)


def revocations(now: float = 1100) -> MemoryRevocationList:
    return MemoryRevocationList(clock=lambda: now)


def test_nothing_is_revoked_at_first() -> None:
    assert not revocations().is_revoked(PRINCIPAL)


def test_a_session_is_revoked_alone() -> None:
    known = revocations()
    known.add(Revocation("session", "s1", 0.0, 1300))

    assert known.is_revoked(PRINCIPAL)
    assert not known.is_revoked(msgspec.structs.replace(PRINCIPAL, session_id="s2"))
    assert not known.is_revoked(msgspec.structs.replace(PRINCIPAL, session_id=None))


def test_a_user_is_revoked_with_what_was_issued_before() -> None:
    known = revocations()
    known.add(Revocation("user", "alice-id", 1050, 1400))

    assert known.is_revoked(PRINCIPAL)
    assert known.is_revoked(msgspec.structs.replace(PRINCIPAL, issued_at=1050))
    assert not known.is_revoked(msgspec.structs.replace(PRINCIPAL, issued_at=1051))
    assert not known.is_revoked(msgspec.structs.replace(PRINCIPAL, user_id="bob-id"))


def test_a_later_revocation_does_not_shorten_an_earlier_one() -> None:
    known = revocations()
    known.add(Revocation("user", "alice-id", 1050, 1400))

    assert known.add(Revocation("user", "alice-id", 900, 1500)) == Revocation("user", "alice-id", 1050, 1500)
    assert known.add(Revocation("user", "alice-id", 1000, 1200)) == Revocation("user", "alice-id", 1050, 1500)
    assert known.is_revoked(PRINCIPAL)
    assert known.add(Revocation("session", "s1", 0.0, 1300)) == Revocation("session", "s1", 0.0, 1300)
    assert known.add(Revocation("session", "s1", 0.0, 1200)) == Revocation("session", "s1", 0.0, 1300)


def test_what_has_expired_is_forgotten_when_something_new_comes() -> None:
    now = [1100.0]
    known = MemoryRevocationList(clock=lambda: now[0])
    known.add(Revocation("session", "s1", 0.0, 1300))
    known.add(Revocation("user", "alice-id", 1050, 1300))
    now[0] = 1301
    known.add(Revocation("session", "s9", 0.0, 1600))

    assert not known.is_revoked(PRINCIPAL)


def test_a_user_is_revoked_by_name_in_any_case() -> None:
    known = revocations()
    known.add(Revocation("username", "ALICE", 1050, 1400))

    assert known.is_revoked(PRINCIPAL)
    assert known.is_revoked(msgspec.structs.replace(PRINCIPAL, username="Alice"))
    assert not known.is_revoked(msgspec.structs.replace(PRINCIPAL, issued_at=1051))
    assert not known.is_revoked(msgspec.structs.replace(PRINCIPAL, username="bob"))


def test_what_is_known_can_be_handed_on() -> None:
    known, told = revocations(), revocations()
    known.add(Revocation("session", "s1", 0.0, 1300))
    known.add(Revocation("session", "over", 0.0, 1100))
    known.add(Revocation("user", "bob-id", 1050, 1400))
    known.add(Revocation("username", "Carol", 1060, 1500))

    for revocation in known.known():
        told.add(revocation)

    assert set(told.known()) == {
        Revocation("session", "s1", 0.0, 1300),
        Revocation("user", "bob-id", 1050, 1400),
        Revocation("username", "carol", 1060, 1500),
    }
    assert told.is_revoked(PRINCIPAL)
