"""Lending: a drill place of somebody's, which a drill finds empty and leaves empty.

What is there is removed only where a drill's row says that a drill has put it there: it is written
down before the first byte goes there, so that the drill after one that was killed knows it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from mainstay_server.areas.backups.models import BackupTarget
from mainstay_server.areas.backups.providers import Engine
from mainstay_server.areas.backups.schemas import EngineFailed, Versions
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.problems import Conflict, Problem

from . import drill_places, filling, holding
from .holding import Hold, TakenOver
from .reaching import reached
from .restores import NOT_EMPTY


@contextmanager
def lent(
    engine: Engine, target: BackupTarget, versions: Versions, hold: Hold
) -> Iterator[Mapping[str, Any]]:
    """The target's drill place, to be filled; it is emptied when the block ends, however it does.

    Raises:
        Conflict: it is not empty and no drill filled it, is used by something else by now, or does
            not suit the versions.
        EngineFailed: it cannot be reached, or could not be emptied.
        TakenOver: another worker has the drill by now, and so the place.
    """
    config = reached(drill_places.config_of(target))
    with reading() as session:
        drill_places.refuse_taken(session, target)
        is_ours = drill_places.is_filled(session, target)
    if _holds_something(engine, config, versions, may_hold=is_ours):
        _empty(engine, config, versions)
    with transaction() as session:  # what others left is gone by now
        drill_places.forget_filled(session, target.id)
    _note(hold, filled=drill_places.key_of(target))
    try:
        yield config
    except BaseException:
        with suppress(EngineFailed, Problem):  # the next drill tries it again
            _leave_empty(engine, config, versions, hold)
        raise
    _leave_empty(engine, config, versions, hold)


def _leave_empty(engine: Engine, config: Mapping[str, Any], versions: Versions, hold: Hold) -> None:
    _note(hold, step="emptying")
    try:
        if _holds_something(engine, config, versions, may_hold=True):
            _empty(engine, config, versions)
    except (EngineFailed, Problem) as error:
        raise EngineFailed(
            f"What was restored could not be removed from the drill place {engine.shown(config)};"
            f" the next drill tries it again. {filling.told(error)}"
        ) from None
    _note(hold, filled="")


def _empty(engine: Engine, config: Mapping[str, Any], versions: Versions) -> None:
    engine.empty(config)
    engine.check_restore(config, versions)


def _holds_something(
    engine: Engine, config: Mapping[str, Any], versions: Versions, *, may_hold: bool
) -> bool:
    try:
        engine.check_restore(config, versions)
    except Conflict as refusal:
        if refusal.code != NOT_EMPTY:
            raise
        if not may_hold:
            raise Conflict(
                f"The drill place {engine.shown(config)} holds something that no drill put there,"
                " and so nothing was restored or removed; empty it, or name another place."
                f" ({refusal.detail})",
                code=NOT_EMPTY,
            ) from None
        return True
    return False


def _note(hold: Hold, **values: Any) -> None:  # noqa: ANN401 - columns
    """Write it into the drill's row before anything is done. Raises `TakenOver`."""
    hold.seen |= {name: value for name, value in values.items() if name == "step"}
    with transaction() as session:
        if not holding.change(session, hold, **values):
            raise TakenOver(hold.id)
