"""moto's S3 server as a process of its own, reached over HTTP as any S3 would be."""

import http.client
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from tests.servers.processes import ServerProcess, connects_to, free_port
from tests.waiting import PATIENCE_SECONDS


class S3Server:
    """A running S3 that takes any credentials and keeps everything in memory."""

    access_key_id = "test-access-key"
    secret_access_key = "test-secret-key"
    region = "us-east-1"

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self._process = ServerProcess(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            log=folder / "server.log",
            is_ready=connects_to(port),
        )

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The endpoint; `new_bucket` gives the URL that `open_blobs` takes."""
        return self.endpoint

    @property
    def pid(self) -> int:
        return self._process.pid

    def new_bucket(self, prefix: str = "mainstay") -> str:
        """Create an empty bucket and return its `s3://…/prefix?endpoint=…` URL."""
        name = f"bucket-{uuid4().hex}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        try:
            connection.request("PUT", f"/{name}")
            answer = connection.getresponse()
            answer.read()
            assert answer.status == http.client.OK, answer.status
        finally:
            connection.close()
        options = {
            "endpoint": self.endpoint,
            "region": self.region,
            "access_key_id": self.access_key_id,
            "secret_access_key": self.secret_access_key,
        }
        return f"s3://{name}/{prefix}?{urlencode(options)}"

    def start(self) -> None:
        self._process.start()

    def stop(self) -> None:
        self._process.stop(signal_number=signal.SIGINT)

    def kill(self) -> None:
        self._process.kill()


@contextmanager
def running_s3() -> Iterator[S3Server]:
    """Yield an S3 server on a free loopback port; its buckets are gone afterwards."""
    if find_spec("moto") is None:
        pytest.fail("moto is missing. Install it: uv pip install 'moto[server]'", pytrace=False)
    folder = Path(tempfile.mkdtemp(prefix="mainstay-s3-"))
    try:
        server = S3Server(folder, free_port())
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    with running_s3() as server:
        yield server
