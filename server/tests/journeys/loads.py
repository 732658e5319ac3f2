"""Many senders of error events in a process of their own, and a receiver that fails at random.

Run as a program it sends until SIGTERM. It has a process of its own so that it neither slows the
test down nor dies with the server.
"""

import asyncio
import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO
from uuid import uuid4

from tests.servers.http import Answer, HttpReceiver, Received
from typing_extensions import override

KINDS = 20
ANSWER_SECONDS = 20.0
LAST_WORDS_SECONDS = 30.0
NOT_ANSWERED = 0
IMPORT_PATH = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One try to send one event. `status` is 0 when the connection broke or gave no answer."""

    event_id: str
    kind: int
    status: int
    retry_after: str
    seconds: float

    @property
    def acknowledged(self) -> bool:
        return 200 <= self.status < 300


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a sending process is asked to do.

    Every second sender sends an event again until it is acknowledged, the others give it up after
    one try, as most SDKs do.
    """

    host: str
    port: int
    path: str
    log: str
    senders: int
    pause_seconds: float


class Sending:
    """A running process of senders; what became of each try is in its log."""

    def __init__(self, load: Load) -> None:
        self._log = Path(load.log)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.journeys.loads", json.dumps(vars(load))],
            env={**os.environ, "PYTHONPATH": str(IMPORT_PATH)},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def tries(self) -> list[Sent]:
        """Every try so far, in the order in which they ended."""
        if not self._log.exists():
            return []
        lines = self._log.read_text(encoding="utf-8").split("\n")[:-1]
        return [Sent(**json.loads(line)) for line in lines]

    def stop(self) -> list[Sent]:
        """Let every sender finish what it promised to send; returns every try."""
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(LAST_WORDS_SECONDS + ANSWER_SECONDS) == 0, "the senders failed"
        return self.tries()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def sending_to(
    project: Mapping[str, object],
    url: str,
    folder: Path,
    *,
    senders: int = 200,
    pause_seconds: float = 0.4,
) -> Iterator[Sending]:
    """Send error events to a project until `stop` or the end of the block."""
    load = Load(
        host="127.0.0.1",
        port=int(url.rsplit(":", 1)[1]),
        path=f"/api/{project['number']}/envelope/?sentry_key={project['ingestKey']}",
        log=str(folder / f"sent-{uuid4().hex}.jsonl"),
        senders=senders,
        pause_seconds=pause_seconds,
    )
    sending = Sending(load)
    try:
        yield sending
    finally:
        sending.kill()


def kind_of(title: str) -> int:
    """Which of the twenty kinds an issue is, by its title."""
    return int(title.partition(":")[0].removeprefix("Kind"))


def envelope(event_id: str, kind: int) -> bytes:
    """An envelope as sentry-sdk sends it: gzip, one event, one exception of that kind."""
    event = {
        "event_id": event_id,
        "level": "error",
        "platform": "python",
        "release": "load@1",
        "exception": {
            "values": [
                {
                    "type": f"Kind{kind}",
                    "value": f"failed for {event_id}",
                    "stacktrace": {
                        "frames": [
                            {"function": "main", "module": "load", "lineno": 1, "in_app": True},
                            {"function": f"kind_{kind}", "module": "load", "in_app": True},
                        ]
                    },
                }
            ]
        },
    }
    head = json.dumps({"event_id": event_id})
    body = f'{head}\n{{"type":"event"}}\n{json.dumps(event)}\n'
    return gzip.compress(body.encode(), 1)


class FlakyReceiver(HttpReceiver):
    """A receiver that answers about every second request in a bad way until it `is_well`."""

    BAD = (
        Answer(status=500),
        Answer(status=429, headers={"Retry-After": "1"}),
        Answer(close=True),
        Answer(delay_seconds=2),  # taken, but its sender may be dead by then
        Answer(delay_seconds=3),
    )

    def __init__(self, seed: int, bad: Sequence[Answer] = BAD) -> None:
        super().__init__()
        self.is_well = False
        self.answered: list[tuple[Received, Answer]] = []
        self._bad = bad
        self._random = random.Random(seed)

    @override
    def _take(self, received: Received) -> Answer:
        answer = super()._take(received)
        if not self.is_well and self._random.random() < 0.5:
            answer = self._random.choice(self._bad)
        self.answered.append((received, answer))
        return answer

    def taken(self) -> list[Received]:
        """The requests that were answered with success."""
        return [
            received
            for received, answer in list(self.answered)
            if not (answer.close or answer.hang) and 200 <= answer.status < 300
        ]


@contextmanager
def flaky_receiver(seed: int, bad: Sequence[Answer] = FlakyReceiver.BAD) -> Iterator[FlakyReceiver]:
    receiver = FlakyReceiver(seed, bad)
    receiver.start()
    try:
        yield receiver
    finally:
        receiver.stop()


class _Sender:
    """One connection that sends one event after the other."""

    def __init__(self, load: Load, log: TextIO, stopping: asyncio.Event, *, stubborn: bool) -> None:
        self._load = load
        self._log = log
        self._stopping = stopping
        self._stubborn = stubborn
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def run(self) -> None:
        await asyncio.sleep(random.uniform(0, self._load.pause_seconds))
        while not self._stopping.is_set():
            event_id, kind = uuid4().hex, random.randrange(KINDS)
            body = envelope(event_id, kind)
            done = await self._try(event_id, kind, body)
            while self._stubborn and not done:
                await self._pause()
                done = await self._try(event_id, kind, body)
            await self._pause()

    async def _pause(self) -> None:
        await asyncio.sleep(self._load.pause_seconds * random.uniform(0.5, 1.5))

    async def _try(self, event_id: str, kind: int, body: bytes) -> bool:
        began = time.monotonic()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                status, retry_after = await self._post(body)
        except (OSError, asyncio.IncompleteReadError, ValueError):
            status, retry_after = NOT_ANSWERED, ""
            self._hang_up()
        sent = Sent(
            event_id=event_id,
            kind=kind,
            status=status,
            retry_after=retry_after,
            seconds=round(time.monotonic() - began, 3),
        )
        self._log.write(json.dumps(vars(sent)) + "\n")
        return sent.acknowledged

    async def _post(self, body: bytes) -> tuple[int, str]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._load.host, self._load.port)
        reader, writer = self._streams
        writer.write(
            b"POST %b HTTP/1.1\r\nHost: load\r\nContent-Encoding: gzip\r\n"
            b"Content-Length: %d\r\n\r\n" % (self._load.path.encode(), len(body)) + body
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        status, _, rest = head.partition("\r\n")
        headers = dict(line.split(": ", 1) for line in rest.strip().split("\r\n"))
        await reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection") == "close":
            self._hang_up()
        return int(status.split()[1]), headers.get("retry-after", "")

    def _hang_up(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


async def _send_all(load: Load) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    with Path(load.log).open("w", buffering=1, encoding="utf-8") as log:  # noqa: ASYNC230 - before all
        senders = [
            asyncio.create_task(_Sender(load, log, stopping, stubborn=n % 2 == 0).run())
            for n in range(load.senders)
        ]
        await stopping.wait()
        await asyncio.wait(senders, timeout=LAST_WORDS_SECONDS)
        for sender in senders:
            sender.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*senders)


def main(arguments: Sequence[str]) -> None:
    """Send as the one argument says, until SIGTERM."""
    asyncio.run(_send_all(Load(**json.loads(arguments[0]))))


if __name__ == "__main__":
    main(sys.argv[1:])
