"""Claim: bytes through the server's door cost a hash and a copy more than one that does nothing.

The yardstick is an app under the same uvicorn that sends pieces out of memory and throws away what
it gets: nothing that stores or reads a file can be quicker. The door checks a link, hashes,
writes, syncs and renames, and books the file in the database; downwards it reads from the disk.
Rounds alternate, so a busy machine slows both; besides the time, the processor time of the server's
process is told, which other programs do not change. At the end: what it costs to sign a link.
"""

import http.client
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from mainstay_server.areas.storage.service.links import Token, What, read_token, sign_token
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.presigning import Asked, SigningKeys, presign, sign_form
from starlette.types import Receive, Scope, Send

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "server"))
from tests.journeys.running import Mainstay, running_mainstay

HERE = Path(__file__).resolve().parent
ROUNDS = 7
MIB = 1 << 20
SIZE_MIB = 256
PIECE = b"\0" * MIB
SIGNATURES = 5000
WAIT_SECONDS = 30


async def null(scope: Scope, receive: Receive, send: Send) -> None:
    """The server that does nothing: it gives pieces out of memory, and forgets what it is given."""
    if scope["type"] != "http":
        return
    if scope["method"] == "PUT":
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 201, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        return
    length = str(SIZE_MIB * MIB).encode()
    head = [(b"content-length", length)]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    for number in range(SIZE_MIB):
        more = number < SIZE_MIB - 1
        await send({"type": "http.response.body", "body": PIECE, "more_body": more})


@dataclass
class Way:
    """One server in one direction: what its rounds took."""

    pid: int
    seconds: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=list)

    def measure(self, act: Callable[[], None]) -> None:
        before, began = self._spent(), time.perf_counter()
        act()
        self.seconds.append(time.perf_counter() - began)
        self.processor_seconds.append(self._spent() - before)

    def told(self) -> str:
        rate = SIZE_MIB / statistics.median(self.seconds)
        spent = statistics.median(self.processor_seconds) * 1024 / SIZE_MIB
        return f"{rate:7.0f} MiB/s, {spent:5.2f} s of processor per GiB"

    def _spent(self) -> float:
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)


def put(url: str, headers: dict[str, str], data: bytes) -> None:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=600)
    connection.request("PUT", f"{parts.path}?{parts.query}", body=data, headers=headers)
    answer = connection.getresponse()
    assert answer.status == http.client.CREATED, answer.read()
    connection.close()


def fetch(url: str) -> None:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=600)
    connection.request("GET", f"{parts.path}?{parts.query}")
    answer = connection.getresponse()
    buffer, got = bytearray(MIB), 0
    while count := answer.readinto(buffer):
        got += count
    assert got == SIZE_MIB * MIB, got
    connection.close()


def null_server() -> tuple["subprocess.Popen[bytes]", str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    line = [sys.executable, "-m", "uvicorn", "--app-dir", str(HERE), "storage:null"]
    options = ["--port", str(port), "--log-level", "warning", "--loop", "uvloop"]
    process = subprocess.Popen([*line, *options])
    until = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process, f"http://127.0.0.1:{port}/?"
        time.sleep(0.05)
    raise TimeoutError("the null server did not start")


def offered(server: Mainstay, key: str) -> dict[str, Any]:
    wish = {"key": key, "size": SIZE_MIB * MIB}
    offer: dict[str, Any] = server.call("POST", "/api/v1/storage/upload-url", json=wish).json()
    return offer


def compare(server: Mainstay, null_pid: int, null_url: str) -> None:
    data = os.urandom(SIZE_MIB * MIB)
    up, null_up = Way(server.pid), Way(null_pid)
    down, null_down = Way(server.pid), Way(null_pid)
    for number in range(ROUNDS):
        offer = offered(server, f"{number}.bin")
        up.measure(partial(put, offer["url"], offer["headers"], data))
        null_up.measure(lambda: put(null_url, {}, data))
        path = f"/api/v1/storage/download-url?key={number}.bin"
        url = server.get(path)["url"]
        down.measure(partial(fetch, url))
        null_down.measure(lambda: fetch(null_url))
        server.call("DELETE", f"/api/v1/storage/files?key={number}.bin")
    for name, ours, theirs in (("upload", up, null_up), ("download", down, null_down)):
        pairs = zip(ours.seconds, theirs.seconds, strict=True)
        ratio = statistics.median(null / own for own, null in pairs)
        print(f"{name:9} ours {ours.told()}")
        print(f"{name:9} null {theirs.told()}")
        print(f"{name:9} ratio {ratio:.2f} of the null server's throughput")


def each(act: Callable[[], object]) -> float:
    """Microseconds of processor time for one."""
    began = time.process_time()
    for _ in range(SIGNATURES):
        act()
    return (time.process_time() - began) / SIGNATURES * 1e6


def signing() -> None:
    now = datetime.now(UTC)
    token = Token(What.DOWNLOAD, new_id(), 0, now + timedelta(hours=1))
    text = sign_token(token)
    keys = SigningKeys("key", "secret", "us-east-1")
    asked = Asked(method="GET", url="https://s3.example/files/acme/insight/ann/report.pdf")
    fields = {"key": "acme/report.pdf", "Content-Type": "application/pdf"}
    sized = [["content-length-range", 0, MIB]]
    for name, act in (
        ("our link, signed", lambda: sign_token(token)),
        ("our link, checked", lambda: read_token(text, now=now)),
        ("S3 GET, signed", lambda: presign(asked, keys=keys, seconds=3600, now=now)),
        ("S3 form, signed", lambda: sign_form(fields, sized, keys=keys, seconds=3600, now=now)),
    ):
        print(f"{name:18} {each(act):6.1f} us")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="mainstay-bench-") as folder:
        os.environ["MAINSTAY_DATA_DIR"] = folder  # where the key that signs is kept
        process, null_url = null_server()
        try:
            with running_mainstay() as server:
                path = f"/api/instances/{server.instance_id}/buckets"
                server.call("POST", path, json={"name": "bench"})
                compare(server, process.pid, null_url)
            signing()
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()
