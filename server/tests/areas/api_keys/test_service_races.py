"""On PostgreSQL people really act side by side: one rotation wins, and no limit is overstepped."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from mainstay_server.areas.api_keys.models import ApiKey
from mainstay_server.areas.api_keys.service import keys, rotating
from mainstay_server.areas.api_keys.settings import ApiKeyAreaSettings
from mainstay_server.contracts.api_keys import ApiKeyRevoked, ApiKeyRotated
from mainstay_server.kernel.database import (
    Base,
    close_database,
    engine,
    open_database,
    reading,
    transaction,
)
from mainstay_server.kernel.events import said_events
from mainstay_server.kernel.guard import policy_version
from mainstay_server.kernel.problems import Conflict
from mainstay_server.kernel.settings import forget_settings, override_settings
from mainstay_server.kernel.subjects import InstanceRef
from tests.areas.api_keys.conftest import HOUR, NOON, a_key
from tests.servers.postgres import PostgresServer
from tests.world import a_project

pytestmark = pytest.mark.slow
AT_ONCE = 8


@pytest.fixture
def instance(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    postgres: PostgresServer,
    shared_memory: None,
) -> Iterator[InstanceRef]:
    monkeypatch.setenv("MAINSTAY_DATA_DIR", str(tmp_path))
    forget_settings()
    open_database(postgres.url_of(postgres.new_database()))
    Base.metadata.create_all(engine())
    with transaction() as session:
        made = a_project(session, now=NOON)
    yield made
    close_database()
    forget_settings()


def said(kind: type) -> int:
    with reading() as session:
        return sum(isinstance(event, kind) for _, event in said_events(session))


def test_of_many_who_rotate_one_key_exactly_one_wins(instance: InstanceRef) -> None:
    with transaction() as session:
        made, _ = a_key(session, instance)

    def rotate(_: int) -> str:
        try:
            with transaction() as session:
                rotating.rotate_key(session, instance, made.id, grace=HOUR, now=NOON)
        except Conflict as refused:
            return refused.code
        return "won"

    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = sorted(pool.map(rotate, range(AT_ONCE)))

    assert outcomes == ["key-not-rotatable"] * (AT_ONCE - 1) + ["won"]
    assert said(ApiKeyRotated) == 1
    with reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(ApiKey)) == 2


def test_many_who_add_at_once_stop_exactly_at_the_limit(instance: InstanceRef) -> None:
    override_settings(ApiKeyAreaSettings(api_keys_most_per_instance=3))

    def add(_: int) -> bool:
        try:
            with transaction() as session:
                a_key(session, instance)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(AT_ONCE) as pool:
        made = list(pool.map(add, range(AT_ONCE)))

    assert sum(made) == 3
    with reading() as session:
        assert keys.count_living(session, instance.id, now=NOON) == 3
        assert policy_version(session, instance.id) == 3


def test_rotating_and_revoking_at_once_leave_no_key_half_changed(instance: InstanceRef) -> None:
    with transaction() as session:
        made, _ = a_key(session, instance)

    def act(turn: int) -> str:
        try:
            with transaction() as session:
                if turn % 2:
                    keys.revoke_key(session, instance, made.id, now=NOON)
                else:
                    rotating.rotate_key(session, instance, made.id, grace=timedelta(), now=NOON)
        except Conflict as refused:
            return refused.detail
        return "done"

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(act, range(AT_ONCE)))

    with reading() as session:
        key = keys.get_key(session, instance.id, made.id)
    assert key.revoked_at == NOON
    assert said(ApiKeyRevoked) == 1
    assert said(ApiKeyRotated) == (1 if key.replaced_by else 0)
