"""Write and read copies from the server: start the process, hear how far it is, decide, end it."""

import json
import os
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from mainstay_server.kernel.copies.crypts import MOST_RECIPIENTS, is_recipient
from mainstay_server.kernel.problems import Invalid

MOST_DESTINATIONS = 8
STALL_SECONDS = 120.0
END_SECONDS = 60.0
MOST_LINE_BYTES = 1 << 20
SOURCES = Path(__file__).parents[3]
KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
# Without this glibc gives each piece's memory back to the system and faults it in anew: measured
# 154,000 page faults for a gigabyte, and 11,000 with it. What is not glibc does not read it.
KEEPING_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(64 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
    "MALLOC_ARENA_MAX": "2",
}


class CopyFailed(Exception):
    """There is no copy, or it cannot be read; the text is why."""


@dataclass(frozen=True)
class Digest:
    """A stream as a manifest names it."""

    size_bytes: int
    sha256: str

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """As it stands in events and manifests."""
        return cls(int(value["bytes"]), str(value["sha256"]))

    def to_json(self) -> dict[str, str | int]:
        """As it stands in events and manifests."""
        return {"bytes": self.size_bytes, "sha256": self.sha256}


@dataclass(frozen=True)
class Sealed:
    """What was written: how large the dump and its zstd frame are, and the age file itself.

    That file is what lies at destinations. Its SHA-256 stands for all three: age authenticates
    the frame, which has a checksum of the dump.
    """

    plain_bytes: int
    compressed_bytes: int
    sealed: Digest

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """As it stands in events and manifests."""
        sizes = (int(value["plainBytes"]), int(value["compressedBytes"]))
        return cls(*sizes, Digest.from_json(value["sealed"]))

    def to_json(self) -> dict[str, Any]:
        """As it stands in events and manifests."""
        return {
            "plainBytes": self.plain_bytes,
            "compressedBytes": self.compressed_bytes,
            "sealed": self.sealed.to_json(),
        }


@dataclass(frozen=True)
class Progress:
    """How far a run is; `seconds_left` where somebody knows how much there is to come."""

    plain_bytes: int
    sealed_bytes: int
    bytes_per_second: float
    seconds_left: float | None
    reasons: Mapping[str, str]


@dataclass(frozen=True)
class Read:
    """What a copy turned out to be.

    `recipients` and `header_bytes` only where it begins as an age file, `plain_bytes` and
    `compressed_bytes` only where it could be opened to its end.
    """

    sealed: Digest
    recipients: int | None
    header_bytes: int | None
    plain_bytes: int | None = None
    compressed_bytes: int | None = None
    fault: str | None = None


@dataclass(frozen=True)
class WritePlan:
    """One copy to make: the same sealed bytes under one key at every destination.

    `size_bytes` is the stream's where it is known, for the time that is left;
    `expected_bytes` is what the sealed copy will take, as the last one did, for the free space.
    """

    key: str
    destinations: Mapping[str, str] = field(repr=False)
    recipients: Sequence[str]
    size_bytes: int | None = None
    expected_bytes: int = 0
    stall_seconds: float = STALL_SECONDS

    def __post_init__(self) -> None:
        if not 1 <= len(self.recipients) <= MOST_RECIPIENTS:
            raise Invalid(f"Give 1 to {MOST_RECIPIENTS} recipients; `age-keygen` makes a pair.")
        if not all(map(is_recipient, self.recipients)):
            raise Invalid("A recipient is an age public key (age1…); `age-keygen -y` prints it.")
        if not 1 <= len(self.destinations) <= MOST_DESTINATIONS:
            raise Invalid(f"Give 1 to {MOST_DESTINATIONS} destinations.")

    def to_json(self) -> dict[str, Any]:
        """What the process is told."""
        return {
            "key": self.key,
            "destinations": dict(self.destinations),
            "recipients": list(self.recipients),
            "expectedBytes": self.expected_bytes,
            "stallSeconds": self.stall_seconds,
        }


@dataclass(frozen=True)
class ReadPlan:
    """One copy to read; without identities only its outside is seen."""

    key: str
    destination: str = field(repr=False)
    identities: Sequence[str] = field(default=(), repr=False)
    size_bytes: int | None = None

    def to_json(self, *, is_wanted: bool) -> dict[str, Any]:
        """What the process is told."""
        return {
            "key": self.key,
            "destination": self.destination,
            "identities": list(self.identities),
            "isWanted": is_wanted,
            "mostPlainBytes": sys.maxsize if self.size_bytes is None else self.size_bytes,
        }


class _Child:
    """The process, its orders and its events; it ends with the `with` block."""

    def __init__(
        self,
        module: str,
        plan: Mapping[str, Any],
        *,
        stdin: IO[bytes] | int = subprocess.DEVNULL,
        stdout: IO[bytes] | int = subprocess.DEVNULL,
    ) -> None:
        orders, self._orders = os.pipe()
        self._events, events = os.pipe()
        kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this very package
                [sys.executable, "-P", "-m", module, str(orders), str(events)],
                stdin=stdin,
                stdout=stdout,
                pass_fds=(orders, events),
                env={**kept, **KEEPING_MEMORY, "PYTHONPATH": str(SOURCES)},
                start_new_session=True,
            )
        finally:
            os.close(orders)
            os.close(events)
        self._exits = ExitStack()
        self._lines = self._exits.enter_context(os.fdopen(self._events, "rb"))
        self.tell(plan)

    @property
    def pid(self) -> int:
        """The process's number, which is its group's as well."""
        return self._process.pid

    def tell(self, order: Mapping[str, Any]) -> None:
        """Send one line; nobody who listens is told by the end of the events."""
        view = memoryview(json.dumps(order).encode() + b"\n")
        try:
            while view:
                view = view[os.write(self._orders, view) :]
        except BrokenPipeError:
            return

    def events(self) -> Iterator[dict[str, Any]]:
        """What it says, until it ends; raises `CopyFailed` when it failed or was ended."""
        while line := self._lines.readline(MOST_LINE_BYTES):
            event = json.loads(line)
            if event["event"] in {"failed", "missing"}:
                raise CopyFailed(event["reason"])
            yield event
        code = self._process.wait(END_SECONDS)
        if code < 0:
            raise CopyFailed(f"The process at the copy was ended ({signal.Signals(-code).name}).")

    def close(self) -> None:
        """Let it leave nothing behind, and end it when that takes long."""
        os.close(self._orders)
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._exits.close()


class Writing:
    """One copy being written: iterate over its progress, then `show` it, inside of `with`.

    Nothing shows at any destination before `show`. Leaving without it cancels: temporary files
    and uploads are gone, unless a destination is away or the process is killed, and then the
    destination's `sweep` removes them.
    """

    def __init__(self, plan: WritePlan, *, plain: IO[bytes] | int) -> None:
        self._plan = plan
        self._child = _Child("mainstay_server.kernel.copies.writing", plan.to_json(), stdin=plain)
        self._events = self._child.events()
        self._sealed: Sealed | None = None

    @property
    def pid(self) -> int:
        """The number of the process; to end it is to cancel."""
        return self._child.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._child.close()

    def __iter__(self) -> Iterator[Progress]:
        """Say how far it is until everything is sealed and waits to be shown.

        Raises `CopyFailed` when no destination takes it or the process ends.
        """
        for event in self._events:
            if event["event"] == "progress":
                yield _progress(event, self._plan.size_bytes)
            elif event["event"] == "sealed":
                self._sealed = Sealed.from_json(event)
                return
            else:
                raise CopyFailed(" ".join(sorted(set(_failed(event).values()))))
        raise CopyFailed("The process at the copy ended too early.")

    @property
    def sealed(self) -> Sealed:
        """What was sealed, once the progress is over."""
        assert self._sealed is not None, "iterate to the end first"
        return self._sealed

    def show(
        self, *, key: str, data: bytes, beside: Mapping[str, bytes] | None = None
    ) -> dict[str, str | None]:
        """Show the copy everywhere, with `data` (its manifest) under `key` beside it.

        What else is `beside` it, small and sealed already, comes first, by key. Returns for each
        destination why it has no copy, or None where it has one.
        """
        others = [[name, b64encode(each).decode()] for name, each in (beside or {}).items()]
        self._child.tell({"key": key, "data": data.decode(), "beside": others})
        for event in self._events:
            if event["event"] == "ended":
                return dict(event["reasons"])
        raise CopyFailed("The process at the copy ended before it said what is where.")


class Reading:
    """One copy being read: iterate over its progress, then ask `found`, inside of `with`.

    With `into`, what the copy holds is written there as it is opened, before it is known whether
    all of it is right: whoever takes it must not show it before `found` was compared.
    """

    def __init__(self, plan: ReadPlan, *, into: IO[bytes] | int | None = None) -> None:
        self._plan = plan
        self._child = _Child(
            "mainstay_server.kernel.copies.reading",
            plan.to_json(is_wanted=into is not None),
            stdout=subprocess.DEVNULL if into is None else into,
        )
        self._found: Read | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._child.close()

    def __iter__(self) -> Iterator[Progress]:
        """Say how far it is; raises `CopyFailed` when it is missing or its store is away."""
        for event in self._child.events():
            if event["event"] == "progress":
                yield _progress(event, self._plan.size_bytes)
            else:
                self._found = _read(event)

    def found(self) -> Read:
        """What the copy was, after the rest of it was read; raises as iterating does."""
        for _ in self:
            pass
        if self._found is None:
            raise CopyFailed("The process at the copy ended too early.")
        return self._found


def _progress(event: Mapping[str, Any], size_bytes: int | None) -> Progress:
    plain, seconds = int(event["plainBytes"]), float(event["seconds"])
    rate = plain / seconds if seconds else 0.0
    left = max(0, size_bytes - plain) / rate if size_bytes is not None and rate else None
    return Progress(plain, int(event["sealedBytes"]), rate, left, _failed(event))


def _failed(event: Mapping[str, Any]) -> dict[str, str]:
    return {name: reason for name, reason in event.get("reasons", {}).items() if reason}


def _read(event: Mapping[str, Any]) -> Read:
    opened = event["fault"] is None
    return Read(
        sealed=Digest.from_json(event["sealed"]),
        recipients=event["recipients"],
        header_bytes=event["headerBytes"],
        plain_bytes=event.get("plainBytes") if opened else None,
        compressed_bytes=event.get("compressedBytes") if opened else None,
        fault=event["fault"],
    )
