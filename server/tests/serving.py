"""The HTTP app over fresh embedded stores, for tests that come in by a door."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest
from mainstay_server.app.assembly import fold
from mainstay_server.kernel import blobs, limits, outbound, shared
from mainstay_server.kernel.area import Area
from mainstay_server.kernel.ports import forget_answers
from tests.column_stores import empty_columns
from tests.world import World, make_world


@contextmanager
def running_app(areas: tuple[Area, ...], folder: Path) -> Iterator[World]:
    """The HTTP app with these areas over fresh embedded stores, with Alice, Bob and Charlie."""
    fold(areas, data_dir=folder)
    blobs.open_blobs(f"file://{folder / 'blobs'}")
    shared.open_shared("memory://")
    limits.open_limits("memory://")
    outbound.open_outbound(allow_private=True)
    try:
        with (
            empty_columns(*(table for area in areas for table in area.tables)),
            make_world() as world,
        ):
            yield world
    finally:
        outbound.close_outbound()
        limits.close_limits()
        shared.close_shared()
        blobs.close_blobs()
        forget_answers()


@pytest.fixture
def client_for(database: None, tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Builds the app with only the given areas and signs in Alice, Bob and Charlie."""
    with ExitStack() as stack:

        def build(*areas: Area) -> World:
            app: AbstractContextManager[World] = running_app(areas, tmp_path)
            return stack.enter_context(app)

        yield build
