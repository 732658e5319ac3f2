"""Whatever happens to a copy is named."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from mainstay_server.areas.backups.service import manifests
from mainstay_server.areas.backups.service.verifying import Fault, Verdict, verify
from tests.areas.backups.copies import Backup, back_up, key, trusting
from tests.kernel.copies.worlds import Key, content
from tests.servers.processes import free_port

__all__ = ["key", "trusting"]

DATA = content(700_000)


@pytest.fixture
def backup(trusting: None, tmp_path: Path, key: Key) -> Backup:
    return back_up(tmp_path, key, DATA)


@pytest.fixture
def other(trusting: None, tmp_path: Path, key: Key) -> Backup:
    return back_up(tmp_path, key, DATA, name="b2")


def look_at(backup: Backup, *identities: str, others: tuple[Backup, ...] = ()) -> Verdict:
    return verify(
        destination=backup.url,
        manifest_key=backup.manifest.manifest_key,
        backup_id=backup.manifest.id,
        trusted=[manifests.public_key()],
        identities=identities,
        known={each.manifest.sealed.sealed.sha256: each.manifest.id for each in others},
    )


def test_a_whole_copy_is_verified_with_and_without_the_key(backup: Backup, key: Key) -> None:
    outside, inside = look_at(backup), look_at(backup, key.secret)

    assert (outside.fault, outside.is_opened) == (None, False)
    assert (inside.fault, inside.is_opened) == (None, True)
    assert inside.manifest == backup.manifest


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def at_border(data: bytes) -> bytes:
    """Without the last chunk: the header, the nonce and the chunks before it stay."""
    header = data.index(b"\n--- ") + len("\n--- ") + 43 + 1 + 16
    return data[: header + (len(data) - header) // 65_552 * 65_552]


DAMAGES: dict[str, tuple[Callable[[bytes], bytes], Fault, str]] = {
    "a bit": (lambda data: flip(data, len(data) // 2), Fault.CHANGED, "at least one bit changed"),
    "a bit of the header": (lambda data: flip(data, 30), Fault.CHANGED, "other bytes"),
    "a byte cut": (lambda data: data[:-1], Fault.CUT, ": 1 of"),
    "a chunk cut": (at_border, Fault.CUT, "at the border of a chunk"),
    "all cut": (lambda data: b"", Fault.CUT, "are missing"),
    "a byte more": (lambda data: data + b"x", Fault.LONGER, "1 bytes were added"),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("keys", [0, 1])
def test_a_damaged_object_is_named(backup: Backup, key: Key, damage: str, keys: int) -> None:
    act, fault, words = DAMAGES[damage]
    backup.copy.write_bytes(act(backup.copy.read_bytes()))

    verdict = look_at(backup, *[key.secret][:keys])

    assert verdict.fault is fault
    assert words in verdict.text


def test_a_deleted_object_is_named(backup: Backup) -> None:
    backup.copy.unlink()

    verdict = look_at(backup)

    assert verdict.fault is Fault.MISSING
    assert "There is no shop/b1.dump.zst.age" in verdict.text


def test_two_swapped_objects_are_named(backup: Backup, other: Backup) -> None:
    mine, theirs = backup.copy.read_bytes(), other.copy.read_bytes()
    backup.copy.write_bytes(theirs)
    other.copy.write_bytes(mine)

    verdicts = [look_at(each, others=(backup, other)) for each in (backup, other)]

    assert [(each.fault, each.text) for each in verdicts] == [
        (Fault.SWAPPED, "The object is that of another backup, b2."),
        (Fault.SWAPPED, "The object is that of another backup, b1."),
    ]


def test_a_missing_edited_or_swapped_manifest_is_named(backup: Backup, other: Backup) -> None:
    file = json.loads(backup.manifest_file.read_bytes())
    file["sealed"]["sha256"] = "0" * 64
    backup.manifest_file.write_text(json.dumps(file))
    assert look_at(backup).fault is Fault.MANIFEST_EDITED

    backup.manifest_file.write_bytes(other.manifest_file.read_bytes())
    assert look_at(backup).fault is Fault.MANIFEST_SWAPPED

    backup.manifest_file.unlink()
    assert look_at(backup).fault is Fault.MANIFEST_MISSING
    assert look_at(other).fault is None


def test_a_store_that_is_away_is_no_damage_and_says_so(backup: Backup) -> None:
    keys = "access_key_id=a&secret_access_key=b"
    away = f"s3://bucket?endpoint=http://127.0.0.1:{free_port()}&region=us-east-1&{keys}"
    found = verify(
        destination=away,
        manifest_key=backup.manifest.manifest_key,
        backup_id=backup.manifest.id,
        trusted=[manifests.public_key()],
    )
    assert found.fault is Fault.UNREADABLE
    assert found.text.startswith("The store did not answer as it should")


def test_a_wrong_key_is_no_damage_and_says_so(backup: Backup) -> None:
    verdict = look_at(backup, Key.new().secret)

    assert verdict.fault is Fault.NOT_OPENED
    assert "Is it the right key?" in verdict.text
