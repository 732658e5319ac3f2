"""Verifying: whoever owns the database changes rows, cuts, reorders, rewrites: each is named.

The verifier is the one of the command line, which imports nothing of the server. It gets what the
server exports after the change, and what a careful person kept from before: the public key, and
where it says so a checkpoint.
"""

import json
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from mainstay_cli.audit_verifier.merkle import Tree, leaf_hash
from mainstay_server.areas.audit.models import AuditCheckpoint, AuditLog, AuditRow
from mainstay_server.areas.audit.service import checkpoints, signing, verifying
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.settings import forget_settings
from tests.areas.audit.worlds import (
    HOUR,
    NOON,
    SHIPS,
    a_signed_log,
    as_owner,
    bodies,
    exported,
    faults,
    kept,
    rename,
    verified,
)


def server_faults() -> list[tuple[str, int]]:
    with reading() as session:
        return faults(verifying.verify_log(session, SHIPS))


def rewrite(change: Callable[[list[str]], list[str]]) -> None:
    """Change rows as somebody who knows the format does: chain, hashes and tree made anew."""
    with reading() as session:
        texts = change(list(bodies(session)))
    tree, head = Tree(), "0" * 64
    with transaction() as session:
        session.execute(sa.delete(AuditRow))
        for text in texts:
            row = json.loads(text) | {"prevHash": head, "position": tree.size + 1}
            body = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            leaf = leaf_hash(body.encode())
            tree.append(leaf)
            head = leaf.hex()
            session.add(
                AuditRow(
                    organization_id=SHIPS,
                    position=tree.size,
                    at=NOON,
                    actor=f"person:{row['actor']['id']}",
                    who=f"{row['actor']['name']} <{row['actor']['email']}>",
                    action=row["action"],
                    target_id=row["target"]["id"],
                    project_id=row["project"]["id"],
                    instance_id="",
                    hash=head,
                    body=body,
                )
            )
        log = session.get_one(AuditLog, SHIPS)
        log.size, log.head = tree.size, head
        log.whole = [subtree.hex() for subtree in tree.whole]


def renamed_in_row_7(texts: list[str]) -> list[str]:
    texts[6] = texts[6].replace("Alice", "Mallory")
    return texts


def test_a_log_that_nobody_touched_verifies(any_log: None) -> None:
    a_signed_log(10, 20)
    rename(3)

    report = verified(with_kept=kept())

    assert (faults(report), report.rows, report.covered) == ([], 23, 20)
    assert report.notes == ["The 3 newest rows are in no checkpoint yet."]
    assert server_faults() == []


def test_a_row_that_was_edited_is_named(any_log: None) -> None:
    a_signed_log(10, 20)
    as_owner("UPDATE audit_rows SET body = replace(body, 'Alice', 'Mallory') WHERE position = 7")

    assert faults(verified()) == [("row_changed", 7)]
    assert server_faults() == [("row_changed", 7), ("row_misfiled", 7)]


def test_a_row_that_was_made_unreadable_is_named(log: None) -> None:
    a_signed_log(10)
    as_owner("UPDATE audit_rows SET body = 'gone' WHERE position = 7")

    assert faults(verified()) == [("row_changed", 7)]
    assert server_faults() == [("row_changed", 7), ("row_misfiled", 7)]


def test_a_row_that_was_deleted_from_the_middle_is_named(any_log: None) -> None:
    a_signed_log(10, 20)
    as_owner("DELETE FROM audit_rows WHERE position = 7")

    assert faults(verified()) == [("row_missing", 7)]
    assert server_faults() == [("row_missing", 7)]


def test_rows_that_changed_places_are_named(log: None) -> None:
    a_signed_log(10, 20)
    as_owner(
        "UPDATE audit_rows SET position = 100 WHERE position = 7",
        "UPDATE audit_rows SET position = 7 WHERE position = 12",
        "UPDATE audit_rows SET position = 12 WHERE position = 100",
    )

    report = verified()

    assert ("row_out_of_order", 8) in faults(report)
    assert not report.verified
    assert ("row_misfiled", 7) in server_faults()


def test_rows_cut_off_the_end_are_named_by_the_checkpoints_that_were_left(any_log: None) -> None:
    a_signed_log(10, 20)
    as_owner("DELETE FROM audit_rows WHERE position > 15")

    assert faults(verified()) == [("tail_cut", 16)]
    assert server_faults() == [("tail_cut", 16), ("end_changed", 15)]


def cut_to_ten() -> None:
    """Cut the tail as somebody who leaves no trace in the database: its end and checkpoints too."""
    rewrite(lambda texts: texts[:10])
    as_owner(
        "DELETE FROM audit_checkpoints WHERE size > 10", "UPDATE audit_logs SET signed_size = 10"
    )


def test_rows_cut_off_together_with_their_checkpoints_are_named_by_one_that_was_kept(
    any_log: None,
) -> None:
    a_signed_log(10, 20)
    mine = kept()
    cut_to_ten()

    unsuspecting = verified()
    assert unsuspecting.verified, "inside of the database nothing is left that could tell"
    assert "would not be missed" in unsuspecting.notes[-1]
    assert faults(verified(with_kept=mine)) == [("tail_cut", 11)]
    assert server_faults() == [("tail_cut", 11)], "the server kept them in the blob store"


def test_rows_that_were_all_chained_anew_are_named_by_what_was_signed(any_log: None) -> None:
    a_signed_log(5, 10, 20)
    rewrite(renamed_in_row_7)

    report = verified()

    assert faults(report) == [("rows_rewritten", 6)]
    assert "Rows 6 to 10 were written anew" in report.faults[0].text
    assert server_faults() == [("rows_rewritten", 6)]


def test_a_checkpoint_signed_with_another_key_is_named(
    log: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_signed_log(5, 10, 20)
    known, mine = signing.public_key(SHIPS), kept()
    rewrite(renamed_in_row_7)
    forger = Ed25519PrivateKey.generate()
    with monkeypatch.context() as forging:
        forging.setattr(signing, "_private_key", lambda _: forger)
        with transaction() as session:
            session.execute(sa.delete(AuditCheckpoint))
            checkpoints.sign_checkpoint(session, session.get_one(AuditLog, SHIPS), now=NOON)
        assert signing.public_key(SHIPS) != known

    assert faults(verified()) == [("checkpoint_forged", 20)]
    assert faults(verified(with_kept=mine)) == [("checkpoint_forged", 20), ("rows_rewritten", 6)]


def test_whoever_has_the_signing_key_too_is_given_away_by_a_checkpoint_that_was_kept(
    log: None,
) -> None:
    a_signed_log(5, 10, 20)
    mine = kept()
    rewrite(renamed_in_row_7)
    with transaction() as session:
        session.execute(sa.delete(AuditCheckpoint))
        checkpoints.sign_checkpoint(session, session.get_one(AuditLog, SHIPS), now=NOON)

    assert verified().verified
    assert faults(verified(with_kept=mine)) == [("rows_rewritten", 6)]


def test_a_checkpoint_whose_text_was_changed_is_named(log: None) -> None:
    a_signed_log(5, 10)
    as_owner("UPDATE audit_checkpoints SET note = replace(note, '\n10\n', '\n11\n') WHERE size=10")

    assert faults(verified()) == [("checkpoint_forged", 11)]


def test_a_checkpoint_of_another_log_is_no_checkpoint_of_this_one(log: None) -> None:
    a_signed_log(5)
    rename(5, organization="rivals")
    with transaction() as session:
        checkpoints.sign_all(session, now=NOON)

    assert faults(verified(with_kept=kept())) == [("checkpoint_foreign", 0)]


def test_a_head_that_was_cut_without_a_signed_note_is_named(log: None) -> None:
    a_signed_log(10, 20)
    as_owner("DELETE FROM audit_rows WHERE position <= 5")

    assert faults(verified()) == [("head_cut", 1)]


def test_a_column_that_was_changed_to_hide_a_row_from_a_list_is_named(log: None) -> None:
    a_signed_log(10)
    as_owner("UPDATE audit_rows SET project_id = 'elsewhere' WHERE position = 7")

    assert verified().verified, "what is exported is what was written"
    assert server_faults() == [("row_misfiled", 7)]


def test_the_newest_rows_are_guarded_by_the_end_until_they_are_signed(log: None) -> None:
    a_signed_log(10)
    rename(2)
    as_owner("DELETE FROM audit_rows WHERE position = 12")

    assert verified().verified, "nobody has signed that row 12 was there"
    assert server_faults() == [("end_changed", 11)]


def test_a_log_after_a_change_of_the_secret_key_verifies_with_the_former_key(
    log: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_signed_log(10)
    former = signing.public_key(SHIPS)
    monkeypatch.setenv("MAINSTAY_SECRET_KEY", "another secret of at least 32 characters")
    monkeypatch.setenv("MAINSTAY_AUDIT_FORMER_KEYS", former)
    forget_settings()
    rename(5)
    with transaction() as session:
        checkpoints.sign_all(session, now=NOON + HOUR)

    assert server_faults() == []
    assert exported().keys == [signing.public_key(SHIPS), former]


def test_what_was_found_is_kept_for_the_scorecard(log: None) -> None:
    a_signed_log(10, 20)
    assert verifying.verify_due(now=NOON) == 0
    as_owner("DELETE FROM audit_rows WHERE position = 7")
    assert verifying.verify_due(now=NOON + 5 * HOUR) == 0, "it was looked at lately"
    assert verifying.verify_due(now=NOON + 6 * HOUR) == 1

    with reading() as session:
        found = session.get_one(AuditLog, SHIPS)
    assert (found.verified_at, found.verified_size) == (NOON + 6 * HOUR, 20)
    assert found.faults == ["Row 7 is missing: row 8 follows row 6."]
