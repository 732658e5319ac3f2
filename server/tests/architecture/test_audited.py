"""Every audited event has a noun, an action of its own, and a target made of its fields."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from mainstay_server.installed import AREAS
from mainstay_server.kernel.events import Audited, event_kinds

ROOT = Path(__file__).parents[3]
CONTRACTS = ROOT / "server/mainstay_server/contracts"
for contract in CONTRACTS.glob("*.py"):
    importlib.import_module(f"mainstay_server.contracts.{contract.stem}")


def audited_kinds() -> Iterator[type[Audited]]:
    assert AREAS, "what areas say is known once they are imported"
    for kind in event_kinds().values():
        if issubclass(kind, Audited) and "mainstay_server" in kind.__module__ and is_said(kind):
            yield kind


def is_said(kind: type[Audited]) -> bool:
    """Leave out the bases, which say so themselves and are never said."""
    return kind is not Audited and not (kind.__doc__ or "").startswith("The base of")


@pytest.mark.parametrize("kind", list(audited_kinds()), ids=lambda kind: kind.__name__)
def test_an_action_is_a_noun_and_what_happened_to_it(kind: type[Audited]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", kind.noun), "give its base class a noun"
    words = kind.noun.replace("_", " ").title().replace(" ", "")
    assert kind.__name__.startswith(words), f"call it {words}…, after its noun"
    assert len(kind.__name__) > len(words)


def test_no_two_audited_events_share_an_action() -> None:
    actions = [kind.action() for kind in audited_kinds()]
    assert len(actions) > 20
    assert sorted(actions) == sorted(set(actions))


def test_an_event_is_audited_by_being_of_the_kind_and_not_by_a_flag() -> None:
    assert flags_set_by_hand(CONTRACTS) == []


def test_a_flag_that_is_set_by_hand_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "bells.py").write_text("class A(Event):\n    audited: ClassVar[bool] = True\n")
    assert flags_set_by_hand(tmp_path) == ["bells.py: A sets audited; derive it from Audited"]


def flags_set_by_hand(folder: Path) -> list[str]:
    return [
        f"{path.name}: {node.name} sets audited; derive it from Audited"
        for path in sorted(folder.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        for line in node.body
        if isinstance(line, ast.AnnAssign)
        and isinstance(line.target, ast.Name)
        and line.target.id == "audited"
    ]
