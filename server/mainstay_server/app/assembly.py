"""Folding: what areas declare becomes what the process knows, before anything is opened."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.exc import ArgumentError, DBAPIError

from mainstay_server.contracts.maintenance import windows_over
from mainstay_server.kernel import blobs, columns, database, limits, outbound, shared
from mainstay_server.kernel.area import Area, install, installed
from mainstay_server.kernel.events import install_reactions, prune_outbox
from mainstay_server.kernel.jobs import install_jobs
from mainstay_server.kernel.migrations import migrate
from mainstay_server.kernel.ports import install_answers
from mainstay_server.kernel.retention import RetentionSettings
from mainstay_server.kernel.settings import (
    ServerSettings,
    UnsafeSetting,
    load_settings,
    of,
)
from mainstay_server.kernel.watching import (
    WatchingSettings,
    forget_spells,
    freeze_months,
    install_windows,
)
from mainstay_server.tenancy import api, pages, seen

from .data_dir import open_data_dir

TENANCY = Area(
    name="tenancy",
    title="Projects and people",
    api=api.router,
    pages=pages.router,
    loops=(seen.last_uses,),
)


@dataclass(frozen=True)
class StoreUrls:
    """The four stores of this process, with the embedded defaults filled in."""

    database: str
    columns: str
    blobs: str
    shared: str


def fold(areas: Sequence[Area], **given: object) -> None:
    """Read every setting, then make everything that the areas declare known to this process.

    Raises:
        UnsafeSetting: when a setting cannot be read or would be unsafe.
    """
    everything = (TENANCY, *areas)
    classes = [settings for area in everything for settings in area.settings]
    ours_too = (ServerSettings, RetentionSettings, limits.LimitSettings, WatchingSettings)
    load_settings([*ours_too, *classes], **given)
    install(everything)
    install_reactions(reaction for area in everything for reaction in area.reactions)
    install_answers(tuple(answer for area in everything for answer in area.answers))
    install_windows(windows_over)
    ours = (prune_outbox, limits.prune_limit_buckets, freeze_months, forget_spells)
    install_jobs([*ours, *(job for area in everything for job in area.jobs)])


def store_urls() -> StoreUrls:
    """Where the four stores are, after the settings were read."""
    server = of(ServerSettings)
    data = server.data_dir.resolve()
    return StoreUrls(
        database=server.database_url or f"sqlite:///{data / 'mainstay.db'}",
        columns=server.columns_url or f"chdb://{data / 'columns'}",
        blobs=server.blobs_url or f"file://{data / 'blobs'}",
        shared=server.shared_url,
    )


def open_stores() -> None:
    """Open the four stores and the way out; migrate the database and the column tables.

    The column engine takes the longest to load and needs nothing of the others, so it is opened
    beside them.

    Raises:
        UnsafeSetting: the data dir or one of the stores cannot be used; which, and why.
    """
    server = of(ServerSettings)
    open_data_dir(server)
    urls = store_urls()
    with ThreadPoolExecutor(1) as beside:
        opening = beside.submit(_open_columns)
        open_relational()
        blobs.open_blobs(urls.blobs)
        shared.open_shared(urls.shared)
        limits.open_limits(urls.shared, store=of(limits.LimitSettings).limits_store)
        outbound.open_outbound(
            allow_private=_may_reach_private(server), ca_pem=server.outbound_ca or None
        )
        opening.result()


def open_relational() -> None:
    """Open the relational store and bring it to the newest schema.

    Raises:
        UnsafeSetting: the URL is wrong or nobody answers there.
    """
    try:
        database.open_database(store_urls().database)
        migrate()
    except (ArgumentError, DBAPIError) as error:
        database.close_database()
        reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
        raise UnsafeSetting(f"MAINSTAY_DATABASE_URL cannot be opened: {reason}") from error


def _open_columns() -> None:
    server = of(ServerSettings)
    try:
        columns.open_columns(
            store_urls().columns,
            tables=[table for area in installed() for table in area.tables],
            retention_days=of(RetentionSettings).days,
            waiting_bytes=server.waiting_room_mib * 1024 * 1024,
        )
    except (ValueError, RuntimeError) as error:
        raise UnsafeSetting(f"MAINSTAY_COLUMNS_URL cannot be opened: {error}") from error


def close_stores() -> None:
    """Close everything that `open_stores` opened, in the reverse order."""
    columns.close_columns()
    outbound.close_outbound()
    limits.close_limits()
    shared.close_shared()
    blobs.close_blobs()
    database.close_database()


def lease() -> timedelta:
    """How long work is held without a heartbeat."""
    return timedelta(seconds=of(ServerSettings).lease_seconds)


def _may_reach_private(server: ServerSettings) -> bool:
    """Embedded, the apps to watch are likely on this machine or next to it; otherwise not."""
    if server.outbound_allow_private is not None:
        return server.outbound_allow_private
    return server.embedded
