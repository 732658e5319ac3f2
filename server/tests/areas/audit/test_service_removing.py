"""Retention: old rows go from the front, and what is left still leads to every later signature."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mainstay_cli.audit_verifier.bundles import Bundle
from mainstay_cli.audit_verifier.merkle import Tree
from mainstay_cli.audit_verifier.reports import Report
from mainstay_cli.audit_verifier.verifying import verify
from mainstay_server.areas.audit.models import AuditLog
from mainstay_server.areas.audit.service import checkpoints, removing, signing
from mainstay_server.areas.audit.service.proofs import places_before, places_between
from mainstay_server.contracts.audit import AuditLogTrimmed
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import said_events
from tests.areas.audit.worlds import (
    DAY,
    NOON,
    SHIPS,
    as_owner,
    bodies,
    exported,
    faults,
    kept,
    rename,
    sign,
    verified,
)


def remove(*, days: int) -> int:
    with transaction() as session:
        return removing.remove_old(session, before=NOON + days * DAY, now=NOON + 100 * DAY)


def days_of_work(*counts: int) -> None:
    """So many rows on each of some days, signed every evening."""
    for day, count in enumerate(counts):
        rename(count, now=NOON + day * DAY)
        sign(now=NOON + day * DAY)


def verify_part(part: Bundle, mine: dict[str, str]) -> Report:
    return verify(part, kept=mine, trusted=[signing.public_key(SHIPS)])


def test_old_rows_go_and_the_rest_still_verifies_against_all_that_was_signed(any_log: None) -> None:
    days_of_work(300, 5, 300)
    mine = kept()

    assert remove(days=2) == 305
    sign()

    report = verified(with_kept=mine)
    assert (faults(report), report.first, report.last, report.covered) == ([], 306, 605, 605)
    with reading() as session:
        assert len(bodies(session)) == 300
    assert remove(days=2) == 0


def test_a_removal_upon_a_removal_builds_on_what_the_first_one_left(any_log: None) -> None:
    days_of_work(3, 4, 1, 300, 2)
    for day in (1, 2, 3, 4):
        remove(days=day)
    rename(5, now=NOON + 101 * DAY)
    sign(now=NOON + 101 * DAY)

    report = verified(with_kept=kept())
    assert (faults(report), report.first, report.covered) == ([], 309, 319)


def test_a_removal_is_said_and_becomes_a_row_itself(log: None) -> None:
    days_of_work(3, 2)
    remove(days=1)

    with reading() as session:
        (trimmed,) = [e for _, e in said_events(session) if isinstance(e, AuditLogTrimmed)]
    assert (trimmed.first, trimmed.last) == (1, 3)
    assert trimmed.action() == "audit_log.trimmed"


def test_what_no_checkpoint_covers_is_not_removed(log: None) -> None:
    rename(3)
    assert remove(days=1) == 0


def test_without_its_note_a_removal_is_a_cut(log: None) -> None:
    days_of_work(3, 2)
    remove(days=1)
    as_owner("DELETE FROM audit_removals")

    assert faults(verified()) == [("head_cut", 1)]


def test_a_note_that_says_more_than_it_was_signed_for_is_named(log: None) -> None:
    days_of_work(3, 2)
    remove(days=1)
    as_owner("UPDATE audit_removals SET note = replace(note, 'at 2', 'at 3')")

    assert faults(verified()) == [("removal_forged", 3), ("head_cut", 1)]


def test_more_rows_cut_than_the_note_says_are_missed(log: None) -> None:
    days_of_work(3, 2, 2)
    remove(days=1)
    as_owner("DELETE FROM audit_rows WHERE position <= 4")

    assert faults(verified()) == [("head_cut", 4)]


def test_at_most_five_thousand_rows_go_at_a_time(
    log: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removing, "MOST_AT_ONCE", 4)
    days_of_work(10)

    assert [remove(days=5) for _ in range(4)] == [4, 4, 2, 0]
    with reading() as session:
        assert session.get_one(AuditLog, SHIPS).removed_size == 10
        assert len(checkpoints.list_removals(session, SHIPS)) == 3
    rename(2, now=NOON + 101 * DAY)
    assert verified().verified


def test_rows_of_some_days_come_with_what_leads_to_the_newest_signature(any_log: None) -> None:
    days_of_work(5, 300, 7, 280, 3)
    whole = exported(since=NOON + DAY, until=NOON + 2 * DAY)
    mine = kept()

    report = verify_part(whole, mine)
    assert (faults(report), report.rows, report.covered) == ([], 300, 595)
    assert "others of the log were not looked at" in report.notes[0]

    rows = list(whole.rows)
    changed = [*rows[:17], rows[17].replace(b"Alice", b"Alise"), *rows[18:]]
    assert faults(verify_part(replace(whole, rows=changed), mine)) == [("row_changed", 23)]
    last = [*rows[:-1], rows[-1].replace(b"Alice", b"Alise")]
    assert faults(verify_part(replace(whole, rows=last), mine))[0][0] == "rows_rewritten"
    with pytest.raises(ValueError, match="do not lead to"):
        verify_part(replace(whole, rows=rows[:-1]), mine)


@settings(deadline=None)
@given(first=st.integers(0, 3000), more=st.integers(0, 3000))
def test_subtrees_before_and_between_make_the_tree_of_all(first: int, more: int) -> None:
    size = first + more
    whole, part = Tree(), Tree()
    leaves = [bytes([n % 251]) * 32 for n in range(size)]
    roots: dict[tuple[int, int], bytes] = {}
    for leaf in leaves:
        for height, made in enumerate(whole.append(leaf)):
            roots[height, (whole.size >> height) - 1] = made

    part = Tree(first, [roots[place] for place in places_before(first)])
    grown = part.grown(size, [roots[place] for place in places_between(first, size)])

    assert (grown.size, grown.root()) == (size, whole.root())
