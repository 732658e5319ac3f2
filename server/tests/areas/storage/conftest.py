from collections.abc import Callable, Iterator

import pytest
from mainstay_server.areas.storage import area
from tests.servers.s3 import S3Server, s3
from tests.servers.strict_s3 import StrictS3, running_strict_s3
from tests.world import World

__all__ = ["s3"]


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(area)


@pytest.fixture
def strict_s3(s3: S3Server) -> Iterator[StrictS3]:
    """S3 that checks signatures, their time, and what forms may hold."""
    with running_strict_s3(s3) as gate:
        yield gate
