"""The commander: what `mainstay probe --commands` does beside asking checks, without a database.

It fetches from the server the *names* of commands to run and looks each up in a file on its own
machine, which alone says what is run. No word from the server ever becomes part of a command line.
"""

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import msgspec
import tomllib

from mainstay_server.kernel import outbound
from mainstay_server.kernel.area import StopSignal
from mainstay_server.kernel.outbound import OutboundError, Response

log = logging.getLogger(__name__)

WAIT_SECONDS = 25
PATIENCE_SECONDS = 40.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0
MOST_COMMANDS, MOST_WORDS, LONGEST_NAME = 50, 100, 60
MOST_OUTPUT = 3500
MOST_ANSWER_BYTES = 1 << 20
LEAST_SECONDS, MOST_SECONDS = 1, 600
OK = 200
REPORTS_AT_MOST = 5
LAST_WORDS_SECONDS = 0.5
INHERITED = ("PATH", "HOME", "LANG")


class _Order(msgspec.Struct, rename="camel", frozen=True):
    run_id: str
    number: int
    command: str
    timeout_seconds: int


class _Orders(msgspec.Struct, frozen=True):
    orders: list[_Order]


@dataclass(frozen=True, kw_only=True)
class CommanderOptions:
    """Where the server is, how this program proves who it is, and what it may run, by name."""

    server: str
    token: str
    commands: Mapping[str, Sequence[str]]


def commands_in(path: Path) -> dict[str, tuple[str, ...]]:
    """The commands that a TOML file allows: `[commands]`, then `name = ["/bin/program", "word"]`.

    A program is named by its whole path. Raises `ValueError` with what is wrong, also when others
    than the owner may write to the file: they could have anything run.
    """
    if path.stat().st_mode & 0o022:
        raise ValueError(f"{path} can be written by others than its owner; chmod go-w it.")
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8")).get("commands")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no TOML: {error}") from None
    if not isinstance(found, dict) or not 0 < len(found) <= MOST_COMMANDS:
        raise ValueError(f"{path} needs a table [commands] with 1 to {MOST_COMMANDS} of them.")
    return {name: _words(path, name, words) for name, words in found.items()}


def _words(path: Path, name: str, words: object) -> tuple[str, ...]:
    fits = isinstance(words, list) and 0 < len(words) <= MOST_WORDS
    if not fits or not all(isinstance(word, str) and "\0" not in word for word in words):  # type: ignore[attr-defined]  # looked at before
        raise ValueError(f"{path}: {name} must be a list of words, the program first.")
    if not name or len(name) > LONGEST_NAME or not name.replace("-", "").isalnum():
        raise ValueError(f"{path}: call {name!r} by letters, digits and hyphens, at most 60.")
    made: tuple[str, ...] = tuple(words)  # type: ignore[arg-type]  # looked at before
    if not Path(made[0]).is_absolute():
        raise ValueError(f"{path}: {name} must name its program by the whole path.")
    return made


class Commander:
    """Fetches names, runs what they stand for one after the other, and reports."""

    def __init__(self, options: CommanderOptions) -> None:
        self._options = options

    async def run(self, stop: StopSignal) -> None:
        """Work until `stop` is set; a command that runs then is waited for."""
        working = asyncio.create_task(self._work())
        stopped = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait([working, stopped], return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        finally:
            for task in (working, stopped):
                task.cancel()
            await asyncio.gather(working, stopped, return_exceptions=True)

    async def _work(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        names = quote(",".join(sorted(self._options.commands)))
        while True:
            try:
                path = f"/api/probe/commands?names={names}&wait={WAIT_SECONDS}"
                answer = await self._call("GET", path)
                found = msgspec.json.decode(answer.body, type=_Orders)
            except (OutboundError, msgspec.MsgspecError) as error:
                log.warning("no commands can be fetched: %s", error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                continue
            pause = FIRST_PAUSE_SECONDS
            for order in found.orders:
                await self._carry_out(order)

    async def _carry_out(self, order: _Order) -> None:
        words = self._options.commands.get(order.command)
        exit_code: int | None = None
        output = "This machine allows no such command."
        if words is not None:
            log.info("running %s", order.command)
            seconds = min(max(order.timeout_seconds, LEAST_SECONDS), MOST_SECONDS)
            exit_code, output = await asyncio.to_thread(run_command, words, timeout_seconds=seconds)
        report = {"number": order.number, "exitCode": exit_code, "output": output}
        path = f"/api/probe/commands/{quote(order.run_id, safe='')}"
        for attempt in range(REPORTS_AT_MOST):
            if await self._report(path, msgspec.json.encode(report)):
                return
            await asyncio.sleep(FIRST_PAUSE_SECONDS * 2**attempt)

    async def _report(self, path: str, body: bytes) -> bool:
        try:
            await self._call("POST", path, body=body)
        except OutboundError as error:
            log.warning("a report waits: %s", error)
            return False
        return True

    async def _call(self, method: str, path: str, body: bytes | None = None) -> Response:
        headers = {"authorization": f"Bearer {self._options.token}"}
        if body is not None:
            headers["content-type"] = "application/json"
        response = await outbound.fetch(
            method,
            self._options.server + path,
            headers=headers,
            body=body,
            timeout_seconds=PATIENCE_SECONDS,
            max_body_bytes=MOST_ANSWER_BYTES,
            truncate=False,
            limited=False,
        )
        if response.status != OK:
            raise OutboundError("protocol", f"the server answered {response.status}")
        return response


def run_command(words: Sequence[str], *, timeout_seconds: float) -> tuple[int | None, str]:
    """Run a program without a shell; when its time is over, end it with all that it began.

    It inherits only a path, a home and a language. What it starts and leaves running stays: that is
    what a restart is. Returns its exit code, None when it could not be run or was ended, and the
    end of what it said.
    """
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    try:
        process = subprocess.Popen(  # noqa: S603 - the words are those of this machine's own file
            list(words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=inherited,
            start_new_session=True,
        )
    except OSError as error:
        return None, f"It could not be run: {error.strerror}."
    said = bytearray()
    reader = threading.Thread(target=_keep_end, args=(process, said), daemon=True)
    reader.start()
    code: int | None = None
    why = ""
    try:
        code = process.wait(timeout_seconds)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        why = f"Ended: it took longer than {timeout_seconds:.0f} s."
    # What it left running may hold the pipe open for ever: nobody waits for more than a moment.
    reader.join(LAST_WORDS_SECONDS)
    text = bytes(said).decode(errors="replace").replace("\0", "")[-MOST_OUTPUT:].strip()
    return code, f"{text}\n{why}".strip()


def _keep_end(process: subprocess.Popen[bytes], said: bytearray) -> None:
    """Keep the end of what a program says, so that it never waits for a reader."""
    assert process.stdout is not None, "it was asked for"
    with process.stdout as pipe:
        while chunk := os.read(pipe.fileno(), 8192):
            said += chunk
            del said[: -4 * MOST_OUTPUT]
