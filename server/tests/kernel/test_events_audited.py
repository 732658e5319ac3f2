"""Administrative actions: what changed is told as plain values, and no secret gets in."""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import StrEnum
from typing import ClassVar

import msgspec
import pytest
from mainstay_server.kernel.events import Audited, Target, changes_between, facts_of
from typing_extensions import override


class Metal(StrEnum):
    BRONZE = "bronze"
    IRON = "iron"


@dataclass
class Bell:
    name: str
    metal: Metal
    weight: float
    tones: list[str]
    cast_at: datetime
    secret_inscription: str = "for nobody's eyes"


class BellTowerRaised(Audited, frozen=True, kw_only=True):
    noun: ClassVar[str] = "bell_tower"
    tower_id: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.tower_id, "the tower")


SHOWN = ("name", "metal", "weight", "tones", "cast_at")
EAST = timezone(timedelta(hours=2))


def a_bell() -> Bell:
    cast = datetime(2026, 3, 1, 14, tzinfo=EAST)
    return Bell(name="Old Tom", metal=Metal.BRONZE, weight=9.5, tones=["e", "g"], cast_at=cast)


def test_only_what_is_different_is_told_with_how_it_was_and_is() -> None:
    bell = a_bell()
    before = facts_of(bell, SHOWN)
    bell.metal, bell.tones = Metal.IRON, ["e"]

    assert changes_between(before, facts_of(bell, SHOWN)) == {
        "metal": ("bronze", "iron"),
        "tones": (["e", "g"], ["e"]),
    }
    assert changes_between(before, before) == {}


def test_what_was_made_had_nothing_before_and_what_was_removed_has_nothing_after() -> None:
    facts = facts_of(a_bell(), SHOWN)

    assert changes_between({}, facts)["cast_at"] == (None, "2026-03-01T12:00:00.000Z")
    assert changes_between(facts, {})["weight"] == (9.5, None)


def test_a_field_that_sounds_secret_is_refused() -> None:
    for name in ("secret_inscription", "password_hash", "token"):
        with pytest.raises(AssertionError, match="a secret"):
            facts_of(a_bell(), [name])


def test_an_event_keeps_its_changes_through_the_outbox_and_knows_its_action() -> None:
    event = BellTowerRaised(
        organization_id="o",
        tower_id="t",
        changes=changes_between({}, {"height": 30.5, "bells": ["a", "b"], "open": True}),
    )

    again = msgspec.json.decode(msgspec.json.encode(event), type=BellTowerRaised)

    assert again == event
    assert again.action() == "bell_tower.raised"
    assert again.subject == "t"


def test_what_lies_within_a_mapping_is_told_by_its_path() -> None:
    before = {"headers": {"set": {"A": "1"}, "remove": ["Server"]}, "cors": None}
    after = {"headers": {"set": {"A": "2"}, "remove": ["Server"]}, "cors": {"origins": ["*"]}}

    assert changes_between(before, after) == {
        "headers.set.A": ("1", "2"),
        "cors.origins": (None, ["*"]),
    }


def test_long_values_are_cut() -> None:
    changes = changes_between({}, {"text": "x" * 5000, "list": ["y" * 5000] * 500})
    text, items = changes["text"][1], changes["list"][1]

    assert isinstance(text, str)
    assert isinstance(items, list)
    assert (len(text), len(items), len(items[0])) == (1000, 100, 1000)
