"""Engines connect to the address that was judged, whatever its name says a moment later."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from mainstay_server.areas.backups.providers import ENGINES
from mainstay_server.areas.backups.schemas import EngineFailed
from mainstay_server.areas.backups.service import reaching
from mainstay_server.kernel import outbound

URLS = {
    "postgresql": "postgresql://u:p@shop.example:{port}/d",
    "mariadb": "mysql://u:p@shop.example:{port}/d",
    "redis": "redis://u:p@shop.example:{port}",
    "export": "mysql://u:p@shop.example:{port}/d",
    "export of PostgreSQL": "postgresql://u:p@shop.example:{port}/d",
}


@pytest.fixture
def lead_to(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Private addresses are closed; it says where the name of the shop leads to."""
    real, led_to = socket.getaddrinfo, [""]

    def resolve(host: Any, *rest: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        return real(led_to[0] if name == "shop.example" else host, *rest, **more)

    def lead(address: str) -> None:
        led_to[0] = address

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    outbound.open_outbound(allow_private=False)
    yield lead
    outbound.close_outbound()


@contextmanager
def listening() -> Iterator[tuple[int, list[str]]]:
    """A port of this machine, and who came to it."""
    came: list[str] = []

    def take(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, (host, _) = server.accept()
                came.append(host)
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=take, args=(server,), daemon=True).start()
        yield server.getsockname()[1], came
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("kind", URLS)
def test_a_name_that_changes_its_mind_leads_nowhere_else(
    kind: str, lead_to: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = ENGINES[kind.split(maxsplit=1)[0]]
    # The address of a server of this test, judged as if it were a public one.
    monkeypatch.setattr(reaching, "check_host_blocking", lambda _host: ["::1", "127.0.0.1"])
    with listening() as (port, came):
        config = reaching.reached(engine.checked({"url": URLS[kind].format(port=port)}))
        lead_to("127.0.0.2")
        with pytest.raises(EngineFailed):
            engine.find_versions(config)
        assert set(came) == {"127.0.0.1"}


def test_where_private_addresses_are_open_engines_choose_themselves(tmp_path: Path) -> None:
    outbound.open_outbound(allow_private=True)
    try:
        assert reaching.reached({"host": "127.0.0.1"}) == {"host": "127.0.0.1"}
        assert reaching.reached({"path": str(tmp_path)}) == {"path": str(tmp_path)}
    finally:
        outbound.close_outbound()
