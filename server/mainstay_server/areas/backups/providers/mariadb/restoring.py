"""Restoring a MariaDB or MySQL: what is refused before, and what is undone when it broke off."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from mainstay_server.areas.backups.schemas import EngineFailed, RestoreFailed, Versions
from mainstay_server.kernel.problems import Conflict
from mainstay_server.kernel.programs import Program, ProgramFailed, running

from .connecting import (
    RIGHTS,
    Connection,
    ask,
    connected,
    is_mariadb,
    options_file,
    programs,
    release,
    server_version,
    tool_version,
    with_events,
)
from .fingerprinting import quoted
from .snapshots import Ending

# No command of the client runs, whatever stands in the dump: `\\! rm` is but text.
RESTORES = (
    *("--batch", "--binary-mode", "--default-character-set=utf8mb4"),
    *("--max-allowed-packet=1G", "--disable-local-infile"),
)
ANYTHING = """
SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = DATABASE()
UNION ALL SELECT routine_name, routine_type FROM information_schema.routines
    WHERE routine_schema = DATABASE()
"""
EVENTS = """
UNION ALL SELECT event_name, 'EVENT' FROM information_schema.events
    WHERE event_schema = DATABASE()
"""
KINDS = {"BASE TABLE": "TABLE", "SYSTEM VERSIONED": "TABLE"}
DEFINING = {"SET USER", "SUPER", "SET_USER_ID", "SET_ANY_DEFINER"}


def check_restore(config: Mapping[str, Any], versions: Versions) -> None:
    """Refuse another or an older server, one that holds something, and a user of too few rights."""
    with connected(config) as connection:
        there = server_version(connection)
        if is_mariadb(there) != is_mariadb(versions.server):
            raise Conflict(
                f"The backup is of version {versions.server}, and the target is {there}; MariaDB"
                " and MySQL do not read all of each other's dumps.",
                code="target-other",
            )
        if release(there) < release(versions.server):
            raise Conflict(
                f"The backup is of version {versions.server}, and the target is {there}; restore it"
                f" into version {'.'.join(map(str, release(versions.server)))} or later.",
                code="target-older",
            )
        _refuse_without_rights(connection, versions)
        if found := ask(connection, with_events(connection, ANYTHING, EVENTS)):
            raise Conflict(
                f"The target is not empty, it has {found[0][0]}; create an empty database and"
                " restore into that.",
                code="target-not-empty",
            )


def _refuse_without_rights(connection: Connection, versions: Versions) -> None:
    ((me,),) = ask(connection, "SELECT CURRENT_USER()")
    others = sorted(set(versions.roles) - {me})
    rights = {right for (right,) in ask(connection, RIGHTS)}
    if others and not rights & DEFINING:
        raise Conflict(
            f"The backup has views, triggers or routines that {', '.join(others[:5])} defined, and"
            " the target's user may not make such; grant it SET USER (MySQL: SET_USER_ID).",
            code="rights-missing",
        )


def restore(
    config: Mapping[str, Any], stream: BinaryIO, *, versions: Versions, folder: Path
) -> None:
    """Fill an empty database; what a restore that broke off has made is dropped again."""
    check_restore(config, versions)
    program = programs(is_mariadb=is_mariadb(versions.server), plain="mysql")
    with options_file(config, folder=folder, tool=tool_version(program)) as options:
        command = [program, options, *RESTORES, config["dbname"]]
        secrets = [config["password"]]
        with running(command, folder=folder, secrets=secrets, takes_input=True) as child:
            try:
                _fill(child, stream)
            except (ProgramFailed, RestoreFailed) as error:
                with suppress(EngineFailed):
                    empty(config)
                raise RestoreFailed(str(error)) from None


def _fill(child: Program, stream: BinaryIO) -> None:
    ending = Ending(stream)
    child.feed(ending)  # type: ignore[arg-type]  # only read
    child.finish()
    if not ending.is_complete:
        raise RestoreFailed("The dump was cut: its last line is not there.")


def empty(config: Mapping[str, Any]) -> None:
    """Drop everything in the database, and not the database."""
    with connected(config) as connection:
        ask(connection, "SET SESSION foreign_key_checks = 0")
        for name, kind in ask(connection, with_events(connection, ANYTHING, EVENTS)):
            ask(connection, f"DROP {KINDS.get(kind, kind)} IF EXISTS {quoted(name)}")
