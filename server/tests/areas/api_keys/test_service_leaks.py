"""A key that was found in public is revoked and said once; words and unknown keys cost nothing."""

from mainstay_server.areas.api_keys.models import Status
from mainstay_server.areas.api_keys.service import keys, leaks, minting
from mainstay_server.areas.api_keys.service.leaks import Finding
from mainstay_server.contracts.api_keys import ApiKeyLeaked
from mainstay_server.kernel.guard import policy_version
from mainstay_server.kernel.subjects import InstanceRef
from sqlalchemy.orm import Session
from tests.areas.api_keys.conftest import HOUR, NOON, a_key
from tests.conftest import Said
from tests.databases import on_both_stores
from tests.world import a_project

pytestmark = on_both_stores


def report(session: Session, *findings: Finding) -> dict[str, bool]:
    """Report findings as a scanner does; tells of each known one whether it was revoked by that."""
    by_fingerprint = leaks.fingerprints_of(findings)
    known = leaks.find_known(session, list(by_fingerprint))
    living = {mark: by_fingerprint[mark] for mark, lives in known.items() if lives}
    leaks.revoke_leaked(session, living, now=NOON + HOUR)
    return {by_fingerprint[mark].token: lives for mark, lives in known.items()}


def test_keys_of_any_project_are_found_without_saying_whose_they_are(
    session: Session, instance: InstanceRef, said: Said
) -> None:
    other = a_project(session, now=NOON, organization="Rivals", slug="spying", number=2)
    ours, our_key = a_key(session, instance, owner="acme")
    theirs, their_key = a_key(session, other)
    untouched, _ = a_key(session, instance)
    said()

    revoked = report(
        session,
        Finding(token=our_key, url="https://code.example/a\r\nb.py", source="content"),
        Finding(token=their_key),
        Finding(token=minting.mint("production", "nobody").key),
        Finding(token="hunter2"),
    )

    assert revoked == {our_key: True, their_key: True}
    assert [key.status_at(NOON + HOUR) for key in (ours, theirs, untouched)] == [
        Status.REVOKED,
        Status.REVOKED,
        Status.ACTIVE,
    ]
    events = said()
    assert [type(event) for event in events] == [ApiKeyLeaked, ApiKeyLeaked]
    assert isinstance(events[0], ApiKeyLeaked)
    assert (events[0].api_key_id, events[0].owner) == (ours.id, "acme")
    assert events[0].url == "https://code.example/a b.py"
    assert ours.leaked_where == "https://code.example/a b.py (content)"
    assert (policy_version(session, instance.id), policy_version(session, other.id)) == (3, 2)


def test_a_key_that_was_revoked_before_is_known_and_not_said_again(
    session: Session, instance: InstanceRef, said: Said
) -> None:
    made, key = a_key(session, instance)
    keys.revoke_key(session, instance, made.id, now=NOON)
    said()

    assert report(session, Finding(token=key)) == {key: False}
    assert said() == []
    assert made.leaked_at is None


def test_a_mistyped_key_is_not_looked_up(database: None) -> None:
    key = minting.mint("production", "project").key
    assert leaks.fingerprints_of([Finding(token=key[:-1] + "-"), Finding(token="mst_")]) == {}
