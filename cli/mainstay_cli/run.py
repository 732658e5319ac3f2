"""`mainstay run`: run a job, and tell its heartbeat when it began, how it ended, what it said.

The job comes first. It runs at once, whether the server answers or not; what it prints is seen as
it is printed, signals reach it, and its exit code is the command's own. An end that no server took
is kept, and told by the next run.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import IO, Annotated
from urllib.parse import quote
from uuid import uuid4

import httpx2 as httpx
import typer

from .client import errors
from .spool import Kept, Spool, state_folder

BODY_BYTES = 10_000
PIECE_BYTES = 8_192
START_SECONDS = 10.0
KEPT_SECONDS = 5.0
KEPT_TRY_SECONDS = 3.0
TRY_SECONDS = 10.0
LONGEST_WAIT_SECONDS = 10.0
END_SECONDS = 20.0
SERVER_FAULT, TOO_MANY = 500, 429
EXIT_NOT_FOUND, EXIT_NOT_RUNNABLE, SIGNALLED = 127, 126, 128
MOST_EXIT_STATUS = 255
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1,
             signal.SIGUSR2)  # fmt: skip

Address = Annotated[str, typer.Option("--url", help="The heartbeat's ping URL.")]
Slug = Annotated[str, typer.Option(help="Its slug, instead of --url.")]
Key = Annotated[str, typer.Option(help="The ping key for --slug; MAINSTAY_PING_KEY.")]
Place = Annotated[str, typer.Option(help="The server for --slug; MAINSTAY_URL.")]


def run(  # noqa: PLR0913 - the options of a command
    context: typer.Context,
    url: Address = "",
    slug: Slug = "",
    *,
    ping_key: Key = "",
    server: Place = "",
    create: Annotated[bool, typer.Option(help="Make the heartbeat if it is not there.")] = False,
    quiet: Annotated[bool, typer.Option(help="Send no output of the job.")] = False,
) -> None:
    """Run a job after `--`, and report its start, its end and the end of its output.

    Ends with the exit code of the job, whatever becomes of the reports: 128 and the number of the
    signal that ended it, 127 when there is no such command. It waits at most 20 seconds for a
    server that is away; then the next run tells the end of this one.
    """
    base = _address(url, slug, ping_key, server)
    if not context.args:
        errors.print("Say what to run: mainstay run --url … -- backup --all", style="red")
        raise typer.Exit(2)
    run_id = str(uuid4())
    report, spool = _Report(base, run_id, create=create), Spool(state_folder())
    starting = threading.Thread(target=_begin, args=(report, spool), daemon=True)
    starting.start()
    tail = _Tail()
    code = _run(context.args, tail)
    deadline = time.monotonic() + END_SECONDS
    starting.join(START_SECONDS)
    end = Kept(
        base=base,
        word=f"/{min(code, MOST_EXIT_STATUS)}",
        run_id=run_id,
        create=create,
        body="" if quiet else tail.kept.decode("utf-8", "replace"),
        ended_at=time.time(),
    )
    if not _tell_end(report, spool, end, b"" if quiet else bytes(tail.kept), deadline=deadline):
        errors.print(
            f"mainstay run: the end of the job could not be reported to {base}: {report.fault}",
            style="yellow",
        )
    raise typer.Exit(code)


def _begin(report: "_Report", spool: Spool) -> None:
    """Tell what earlier runs could not, up to the first that nobody takes, and then the start."""
    with spool.waiting() as kept:
        until = time.monotonic() + KEPT_SECONDS
        for end in kept:
            told = _Report(end.base, end.run_id, create=end.create).send(
                end.word,
                end.body.encode(),
                timeout_seconds=KEPT_TRY_SECONDS,
                late_seconds=_seconds_since(end),
            )
            if told is None:
                break
            spool.forget(end)
            if time.monotonic() > until:
                break
    report.send("/start", b"")


def _tell_end(report: "_Report", spool: Spool, end: Kept, body: bytes, *, deadline: float) -> bool:
    """Tell the end of the run, again while the server is away, and keep it from the first fault on.

    So it is told later, too, when this process is ended while it waits.
    """
    turn, kept = 0, False
    while True:
        # Half of it may go into the connection, and half into the answer.
        left = max(deadline - time.monotonic(), 0.1)
        late = _seconds_since(end) if turn else None
        told = report.send(
            end.word, body, timeout_seconds=min(TRY_SECONDS, left / 2), late_seconds=late
        )
        if told is not None:
            if kept:
                spool.forget(end)
            return told
        kept = kept or spool.keep(end)
        pause = min(2.0**turn, LONGEST_WAIT_SECONDS)
        turn += 1
        if time.monotonic() + pause >= deadline:
            report.fault += "; it is kept, and the next run tells it" if kept else ""
            return False
        time.sleep(pause)


def _seconds_since(end: Kept) -> float:
    return max(time.time() - end.ended_at, 0)


class _Report:
    """Reports of one run; a fault never becomes an exception."""

    def __init__(self, base: str, run_id: str, *, create: bool) -> None:
        self._base = base
        self._flags = {"rid": run_id} | ({"create": "1"} if create else {})
        self.fault = ""

    def send(
        self,
        word: str,
        body: bytes,
        *,
        timeout_seconds: float = TRY_SECONDS,
        late_seconds: float | None = None,
    ) -> bool | None:
        """Send one report once; whether it was taken, None when the server cannot tell now.

        `late_seconds` is how long ago it was due, of one that was tried before: the server may have
        it already, then counts it once, and takes no longer duration from it.
        """
        late = {} if late_seconds is None else {"late": f"{late_seconds:.0f}"}
        try:
            answer = httpx.post(
                self._base + word,
                params=self._flags | late,
                content=body,
                timeout=timeout_seconds,
            )
        except httpx.InvalidURL as error:
            self.fault = str(error)
            return False
        except httpx.HTTPError as error:
            self.fault = str(error) or type(error).__name__
            return None
        if answer.is_success:
            return True
        self.fault = f"{answer.status_code} {answer.text[:200]}"
        return None if answer.status_code in (TOO_MANY, *range(SERVER_FAULT, 600)) else False


class _Tail:
    """The end of what a job printed, both streams as they came."""

    def __init__(self) -> None:
        self.kept = bytearray()
        self._lock = threading.Lock()

    def add(self, piece: bytes) -> None:
        """Remember a piece, and forget what is too long ago."""
        with self._lock:
            self.kept += piece
            del self.kept[: max(len(self.kept) - BODY_BYTES, 0)]


def _run(command: list[str], tail: _Tail) -> int:
    """Run a job to its end; returns its exit code as a shell would tell it."""
    try:
        job = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)  # noqa: S603 - what the user said
    except FileNotFoundError:
        return _never_ran(command[0], "there is no such command", EXIT_NOT_FOUND, tail)
    except OSError as error:
        return _never_ran(command[0], error.strerror or str(error), EXIT_NOT_RUNNABLE, tail)
    assert job.stdout is not None
    assert job.stderr is not None
    _pass_signals_on(job)
    reading = [
        threading.Thread(target=_copy, args=(stream, to, tail.add), daemon=True)
        for stream, to in ((job.stdout, sys.stdout.buffer), (job.stderr, sys.stderr.buffer))
    ]
    for each in reading:
        each.start()
    code = job.wait()
    for each in reading:
        # What it left running in the background may keep the pipes open for ever.
        each.join(1.0)
    for number in PASSED_ON:
        signal.signal(number, signal.SIG_DFL)
    return SIGNALLED - code if code < 0 else code


def _pass_signals_on(job: "subprocess.Popen[bytes]") -> None:
    """Let what ends this command end the job instead; a job that is gone needs nothing."""

    def hand_over(number: int, _frame: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            job.send_signal(number)

    for number in PASSED_ON:
        signal.signal(number, hand_over)


def _copy(stream: IO[bytes], to: IO[bytes], keep: Callable[[bytes], None]) -> None:
    while piece := stream.read(PIECE_BYTES):
        keep(piece)
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more: the job goes on
            to.write(piece)
            to.flush()


def _never_ran(command: str, why: str, code: int, tail: _Tail) -> int:
    text = f"mainstay run: {command}: {why}"
    errors.print(text, style="red", markup=False)
    tail.add(text.encode())
    return code


def _address(url: str, slug: str, ping_key: str, server: str) -> str:
    """The address that reports go to. Ends with exit code 2 when it was not said."""
    if url and not slug:
        return url.rstrip("/")
    key = ping_key or os.environ.get("MAINSTAY_PING_KEY", "")
    place = server or os.environ.get("MAINSTAY_URL", "")
    if not slug or url or not key or not place:
        errors.print(
            "Say which heartbeat: --url, or --slug with MAINSTAY_PING_KEY and MAINSTAY_URL.",
            style="red",
        )
        raise typer.Exit(2)
    return f"{place.rstrip('/')}/ping/{quote(key, safe='')}/{quote(slug, safe='')}"
