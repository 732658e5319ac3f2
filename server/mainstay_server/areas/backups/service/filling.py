"""Filling: a copy streamed into an empty target, and compared with what was dumped.

The copy is opened by a process of its own and flows straight into the engine: nothing of it lies
on a disk in between, and memory does not grow with it.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, BinaryIO, Self

from mainstay_server.areas.backups.providers import Engine
from mainstay_server.areas.backups.schemas import Difference, EngineFailed, What, compare
from mainstay_server.kernel.copies.running import CopyFailed, Progress, Read, Reading, ReadPlan
from mainstay_server.kernel.copies.streams import wide_pipe
from mainstay_server.kernel.problems import Problem

from .manifests import Manifest
from .verifying import Verdict, compare_read, not_read

CHUNK_BYTES = 1 << 18
MOST_DIFFERENCES = 100
MOST_TOLD = 3
Watch = Callable[[Progress], None]


class NotFilled(Exception):
    """The target was not filled; the text is why, and `verdict` what is wrong with the copy."""

    def __init__(self, text: str, verdict: Verdict | None = None) -> None:
        super().__init__(text)
        self.verdict = verdict


@dataclass(frozen=True, kw_only=True)
class Source:
    """One copy to fill from: where it lies, what it is, and what opens it.

    `known` maps the SHA-256 of other backups' copies to their ids, to name a swap.
    """

    manifest: Manifest
    destination: str = field(repr=False)
    identities: Sequence[str] = field(repr=False)
    known: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What a filled target holds, beside what was dumped; of files, `rows` are bytes."""

    differences: Sequence[Difference]
    tables: int
    rows: int
    seconds: float


def fill(
    engine: Engine, config: Mapping[str, Any], source: Source, *, folder: Path, watch: Watch
) -> float:
    """Restore the copy into an empty target; returns the seconds from its first byte to the end.

    The copy is read to its end even when the engine has stopped before: what is wrong with it is
    the deeper reason. Raises `NotFilled`.
    """
    began = monotonic()
    manifest = source.manifest
    plan = ReadPlan(
        manifest.key, source.destination, source.identities, manifest.sealed.plain_bytes
    )
    failure: Exception | None = None
    reader, writer = wide_pipe()
    with ExitStack() as stack:
        stream = stack.enter_context(os.fdopen(reader, "rb"))
        with os.fdopen(writer, "wb") as into:
            reading = stack.enter_context(Reading(plan, into=into))
        watcher = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="copy"))
        closing = stack.enter_context(_Closing(stream))
        found = watcher.submit(_watched, reading, watch)
        try:
            engine.restore(config, stream, versions=manifest.versions, folder=folder)
        except (EngineFailed, Problem) as error:
            failure = error
        while stream.read(CHUNK_BYTES):
            pass
        closing.is_over = True
        verdict = _judged(manifest, found.result, known=source.known)
    if verdict.fault is not None:
        raise NotFilled(verdict.text, verdict)
    if failure is not None:
        raise NotFilled(told(failure))
    return monotonic() - began


def compared(
    engine: Engine, config: Mapping[str, Any], manifest: Manifest, *, folder: Path
) -> Comparison:
    """Compare a target with the fingerprints of the manifest, table by table or file by file.

    Raises `EngineFailed`.
    """
    began = monotonic()
    present = engine.fingerprints(config, folder=folder)
    return Comparison(
        differences=compare(manifest.fingerprints, present),
        tables=len(manifest.fingerprints),
        rows=sum(each.rows for each in manifest.fingerprints),
        seconds=monotonic() - began,
    )


def told(failure: Exception) -> str:
    """Why an engine failed or refused, as a person is told it."""
    return failure.detail if isinstance(failure, Problem) else str(failure)


def as_json(differences: Sequence[Difference]) -> list[dict[str, Any]]:
    """The first hundred differences, as rows keep them."""
    return [
        {"name": each.name, "what": each.what, "rows": list(each.rows)}
        for each in differences[:MOST_DIFFERENCES]
    ]


def in_words(differences: Sequence[Difference]) -> str:
    """The differences in one sentence, the first ones by name."""
    texts = [_in_words(each) for each in differences[:MOST_TOLD]]
    more = len(differences) - MOST_TOLD
    if more > 0:
        texts.append(f"and {more} more")
    return f"What came back is not what was dumped: {'; '.join(texts)}."


def _in_words(difference: Difference) -> str:
    before, after = difference.rows
    return {
        What.MISSING: f"{difference.name} is missing",
        What.EXTRA: f"{difference.name} was not there before",
        What.ROWS: f"{difference.name} has {after:,} and not {before:,}",
        What.CONTENT: f"{difference.name} has other content",
    }[difference.what]


class _Closing:
    """Closes the stream first when the engine raised what nobody expects, or all would wait."""

    def __init__(self, stream: BinaryIO) -> None:
        self.is_over = False
        self._stream = stream

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        if not self.is_over:
            self._stream.close()


def _watched(reading: Reading, watch: Watch) -> Read:
    for progress in reading:
        watch(progress)
    return reading.found()


def _judged(manifest: Manifest, found: Callable[[], Read], *, known: Mapping[str, str]) -> Verdict:
    try:
        return compare_read(manifest, found(), opened=True, known=known)
    except CopyFailed as error:
        return not_read(error)
