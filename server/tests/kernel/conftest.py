"""The kernel's promises hold on both relational stores, so its tests run on both."""

from collections.abc import Iterator

import pytest
import trustme
from mainstay_server.kernel import outbound


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have each test with a database run once on each kind."""
    if "database" in metafunc.fixturenames:
        metafunc.parametrize("database", ["sqlite", "postgres"], indirect=True)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def open_to_private(authority: trustme.CA) -> Iterator[None]:
    """Everything may be reached, and the authority is trusted."""
    pem = authority.cert_pem.bytes().decode()
    outbound.open_outbound(allow_private=True, ca_pem=pem)
    yield
    outbound.close_outbound()


@pytest.fixture
def public_only() -> Iterator[None]:
    """Only public addresses may be reached."""
    outbound.open_outbound(allow_private=False)
    yield
    outbound.close_outbound()
