"""A project with one instance, over either relational store, and people before the API."""

from collections.abc import Callable, Iterator

import pytest
from mainstay_server.areas import vulnerabilities
from mainstay_server.kernel import limits
from mainstay_server.kernel.subjects import InstanceRef
from sqlalchemy.orm import Session
from tests.areas.vulnerabilities.worlds import NOON
from tests.world import World, a_project


@pytest.fixture
def instance(session: Session) -> InstanceRef:
    """The production of a project."""
    return a_project(session, now=NOON)


@pytest.fixture
def world(client_for: Callable[..., World]) -> Iterator[World]:
    """Alice, Bob and Charlie before the API, with no upload counted yet."""
    limits.close_limits()
    yield client_for(vulnerabilities.area)
    limits.close_limits()
