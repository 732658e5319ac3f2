"""A project with one instance and its keys, over the stores that keys need."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from mainstay_server.areas import api_keys
from mainstay_server.areas.api_keys.models import ApiKey
from mainstay_server.areas.api_keys.schemas import NewApiKey
from mainstay_server.areas.api_keys.service import keys
from mainstay_server.kernel.subjects import InstanceRef
from sqlalchemy.orm import Session
from tests.world import World, a_project

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
def instance(session: Session) -> InstanceRef:
    """The production of a project."""
    return a_project(session, now=NOON)


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    """Alice, Bob and Charlie before the API."""
    return client_for(api_keys.area)


def a_key(
    session: Session, instance: InstanceRef, *, now: datetime = NOON, **wanted: Any
) -> tuple[ApiKey, str]:
    """A key for "billing service" that may do nothing, unless it is said what it may."""
    made = NewApiKey(**{"name": "billing service", **wanted})
    return keys.create_key(session, instance, made, now=now)
