"""Every test sees the SDK's own errors, and leaves no thread of the SDK behind."""

import threading
from collections.abc import Iterator

import mainstay
import pytest
from tests.app_servers import eventually


@pytest.fixture(autouse=True)
def _the_sdk_raises_and_ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MAINSTAY_RAISE", "1")
    monkeypatch.delenv("MAINSTAY_DSN", raising=False)
    monkeypatch.delenv("SENTRY_DSN", raising=False)
    yield
    mainstay.close(1)
    eventually(lambda: [t for t in threading.enumerate() if t.name == "mainstay-sender"] == [])
