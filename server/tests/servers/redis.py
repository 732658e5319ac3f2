"""A real redis-server in a temporary folder that keeps nothing on disk."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.processes import ServerProcess, connects_to, free_port, required_program


class RedisServer:
    """A running Redis; what was stored is gone after `stop` or `kill`."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self._process = ServerProcess(
            [
                required_program("redis-server", package="redis-server"),
                *("--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)),
                *("--save", "", "--appendonly", "no"),
            ],
            log=folder / "server.log",
            is_ready=connects_to(port),
        )

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self) -> None:
        self._process.start()

    def stop(self) -> None:
        self._process.stop(signal_number=signal.SIGTERM)

    def kill(self) -> None:
        self._process.kill()


@contextmanager
def running_redis() -> Iterator[RedisServer]:
    """Yield a Redis on a free loopback port."""
    folder = Path(tempfile.mkdtemp(prefix="mainstay-redis-"))
    try:
        server = RedisServer(folder, free_port())
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
