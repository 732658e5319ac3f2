"""The process that reads a copy: streams it, opens it where it may, tells what it was.

What the copy holds goes to standard output as it is opened: whether all of it was right is known
at the end. The first descriptor of its arguments gives the plan, the second takes the events.
"""

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any, BinaryIO

from mainstay_server.kernel.copies.crypts import (
    HEADER_BYTES,
    Crypt,
    CryptFailed,
    header_of,
    opening,
)
from mainstay_server.kernel.copies.destinations import CopyMissing, reason_of
from mainstay_server.kernel.copies.frames import FrameBroken, decompressed
from mainstay_server.kernel.copies.opened import open_destination
from mainstay_server.kernel.copies.streams import Count, Tally, ahead, repeating, write_all
from mainstay_server.kernel.copies.writing import SAY_EVERY_SECONDS, Say, teller

STANDARD_OUTPUT = 1


class Reader:
    """Reads one copy to its end, whatever is wrong with it on the way."""

    def __init__(self, plan: Mapping[str, Any], *, say: Say) -> None:
        self._say = say
        self._plain, self._compressed, self._sealed = Count(), Count(), Tally()
        self._head = b""
        self._is_wanted = plan["isWanted"]
        self._most_plain_bytes = plan["mostPlainBytes"]
        self._pieces = open_destination(plan["destination"]).stream(plan["key"])
        self._began = time.monotonic()

    def read(self, crypt: Crypt | None) -> None:
        """Read it, opened by the crypt when there is one.

        A few bytes unpack to terabytes, and anybody can seal such a copy: what goes beyond the
        size of the dump is counted, and given to nobody.
        """
        with ExitStack() as stages:
            telling = repeating(self._say_progress, every_seconds=SAY_EVERY_SECONDS)
            stages.enter_context(telling)
            sealed = stages.enter_context(ahead(self._watched(self._sealed.passing(self._pieces))))
            if crypt is None:
                for _ in sealed:
                    pass
                return
            frame = stages.enter_context(crypt.turning(sealed))
            content = stages.enter_context(ahead(decompressed(self._compressed.passing(frame))))
            for piece in self._plain.passing(content):
                if self._is_wanted and self._plain.size_bytes <= self._most_plain_bytes:
                    write_all(STANDARD_OUTPUT, (piece,))

    def say_read(self, *, opened: bool, fault: str | None) -> None:
        """Tell what it was."""
        header = header_of(self._head)
        event = {
            "event": "read",
            "sealed": self._sealed.to_json(),
            "recipients": header and header.recipients,
            "headerBytes": header and header.size_bytes,
            "fault": fault,
        }
        if opened:
            event["plainBytes"] = self._plain.size_bytes
            event["compressedBytes"] = self._compressed.size_bytes
        self._say(event)

    def _watched(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._head += piece[: max(0, HEADER_BYTES - len(self._head))]
            yield piece

    def _say_progress(self) -> None:
        self._say(
            {
                "event": "progress",
                "plainBytes": self._plain.size_bytes,
                "sealedBytes": self._sealed.size_bytes,
                "seconds": round(time.monotonic() - self._began, 3),
            }
        )


def read(control: BinaryIO, say: Say) -> int:
    """Do what the first line of the control says; return the exit code."""
    plan = json.loads(control.readline())
    crypt = opening(plan["identities"]) if plan["identities"] else None
    fault = None
    try:
        reader = Reader(plan, say=say)
        try:
            reader.read(crypt)
        except (CryptFailed, FrameBroken) as error:
            fault = str(error)
        reader.say_read(opened=crypt is not None, fault=fault)
    except CopyMissing as error:
        say({"event": "missing", "reason": str(error)})
        return 1
    except BrokenPipeError:
        say({"event": "failed", "reason": "Whoever took the content ended before the copy did."})
        return 1
    except Exception as error:  # noqa: BLE001 - the parent tells it as the reading's reason
        say({"event": "failed", "reason": reason_of(error)})
        return 1
    return 0


def main() -> None:
    """Read one copy and end."""
    control, events = (int(text) for text in sys.argv[1:3])
    with os.fdopen(control, "rb") as orders:
        code = read(orders, teller(events))
        os._exit(code)


if __name__ == "__main__":
    main()
