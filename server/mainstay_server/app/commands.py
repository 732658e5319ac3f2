"""The commands that run the server itself; everything else of `mainstay` speaks HTTP."""

import logging
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TextIO

import structlog
import typer

from mainstay_server.installed import AREAS
from mainstay_server.kernel.database import close_database
from mainstay_server.kernel.migrations import newest_revision
from mainstay_server.kernel.problems import Problem
from mainstay_server.kernel.settings import UnsafeSetting

from .assembly import fold, open_relational
from .demo import Demo
from .process import ROLES, Started, run

EXIT_BAD_SETTING = 78  # EX_CONFIG of sysexits.h

DataDir = Annotated[Path | None, typer.Option(help="Where the embedded stores live.")]
Host = Annotated[str | None, typer.Option(help="Address to listen on.")]
Port = Annotated[int | None, typer.Option(help="Port to listen on; 0 picks a free one.")]


def up(
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    *,
    demo: Annotated[bool, typer.Option("--demo", help="With a sample app and traffic.")] = False,
) -> None:
    """Run everything in this one process, on embedded stores unless four URLs say otherwise."""
    sample = Demo() if demo else None

    def announce(started: Started) -> None:
        _say(f"Mainstay is running at {started.url}")
        if started.set_up_path:
            _say(f"Finish the set-up here: {started.url}{started.set_up_path}")
        if sample:
            _say(sample.start(started.url))

    with _refusals_in_words():
        _make_files_for_owner_only()
        if sample:
            sample.prepare(data_dir)
        _fold(host=host, port=port, data_dir=data_dir or (sample.data_dir if sample else None))
        try:
            run(roles=ROLES, on_started=announce)
        finally:
            if sample:
                sample.stop()


def serve(
    role: Annotated[list[str], typer.Option(help="web, worker or probe; may be repeated.")],
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
) -> None:
    """Run some roles in this process, as one of several over shared servers."""
    unknown = set(role) - set(ROLES)
    if unknown:
        raise typer.BadParameter(f"unknown role {', '.join(unknown)}; use {', '.join(ROLES)}")
    with _refusals_in_words():
        _make_files_for_owner_only()
        _fold(host=host, port=port, data_dir=data_dir)
        run(
            roles=tuple(role),
            on_started=lambda s: _say(f"Mainstay runs {', '.join(s.roles)} at {s.url}"),
        )


def migrate(data_dir: DataDir = None) -> None:
    """Bring the database to the newest schema, then end; `up` and `serve` do the same at start."""
    with _refusals_in_words():
        _make_files_for_owner_only()
        _fold(data_dir=data_dir)
        open_relational()
        close_database()
    _say(f"The database is at {newest_revision()}.")


def _make_files_for_owner_only() -> None:
    """The stores hold secrets of webhooks and what apps send; other users must not read them."""
    os.umask(stat.S_IRWXG | stat.S_IRWXO)


def _fold(**given: object) -> None:
    _log_in_lines()
    fold(AREAS, **{name: value for name, value in given.items() if value is not None})


@contextmanager
def _refusals_in_words() -> Iterator[None]:
    """End with exit code 78 and a sentence when the process may not start as it was asked to."""
    try:
        yield
    except (UnsafeSetting, Problem) as refusal:
        _say(f"Mainstay did not start. {refusal}", to=sys.stderr)
        raise typer.Exit(EXIT_BAD_SETTING) from refusal


def _say(text: str, *, to: TextIO | None = None) -> None:
    print(text, file=to or sys.stdout, flush=True)


def _log_in_lines() -> None:
    """One line per record on standard error: for people on a terminal, JSON otherwise."""
    people = sys.stderr.isatty() or os.environ.get("MAINSTAY_LOG_FORMAT") == "text"
    renderer = structlog.dev.ConsoleRenderer() if people else structlog.processors.JSONRenderer()
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processor=renderer)
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in ("alembic", "httpx2", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.WARNING)
