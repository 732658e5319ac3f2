"""The process that writes copies: reads standard input, seals it, delivers it, says how far it is.

It is told by lines of JSON on one descriptor and answers by lines of JSON on another. When the
first one ends, whoever started it is gone or wants no more: it aborts and leaves nothing behind.
"""

import json
import os
import signal
import sys
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType
from typing import Any, BinaryIO

from mainstay_server.kernel.copies.crypts import Crypt, sealing
from mainstay_server.kernel.copies.deliveries import Beside, Delivery, all_failed
from mainstay_server.kernel.copies.frames import compressed
from mainstay_server.kernel.copies.opened import open_destination
from mainstay_server.kernel.copies.streams import Count, Tally, ahead, pieces_of, repeating

SAY_EVERY_SECONDS = 0.5
STANDARD_INPUT = 0

Say = Callable[[Mapping[str, Any]], None]


class Cancelled(BaseException):
    """Nobody wants the copy any more; no rule may catch it by chance."""


class Writer:
    """Seals one stream and delivers it."""

    def __init__(self, plan: Mapping[str, Any], *, crypt: Crypt, say: Say) -> None:
        self._crypt, self._say = crypt, say
        self._plain, self._compressed, self._sealed = Count(), Count(), Tally()
        self._deliveries = {
            name: Delivery(
                open_destination(url),
                plan["key"],
                expected_bytes=plan["expectedBytes"],
                stall_seconds=plan["stallSeconds"],
            )
            for name, url in plan["destinations"].items()
        }
        self._began = time.monotonic()

    def seal(self) -> bool:
        """Deliver the stream to its last byte, unseen yet; False when nobody took it."""
        telling = repeating(self._say_progress, every_seconds=SAY_EVERY_SECONDS)
        with telling, self._sealed_pieces() as pieces:
            for piece in pieces:
                for delivery in self._deliveries.values():
                    delivery.give(piece)
                if all_failed(self._deliveries.values()):
                    return False
            for delivery in self._deliveries.values():
                delivery.prepare()
        return not all_failed(self._deliveries.values())

    def say_sealed(self) -> None:
        """Tell what the streams were."""
        self._say(
            {
                "event": "sealed",
                "plainBytes": self._plain.size_bytes,
                "compressedBytes": self._compressed.size_bytes,
                "sealed": self._sealed.to_json(),
                "reasons": self._reasons(),
            }
        )

    def commit(self, besides: Sequence[Beside]) -> None:
        """Show the copies."""
        for delivery in self._deliveries.values():
            delivery.commit(besides)

    def close(self) -> None:
        """Leave nothing unfinished; tell how each destination ended."""
        for delivery in self._deliveries.values():
            delivery.close()
        self._say({"event": "ended", "reasons": self._reasons()})

    @contextmanager
    def _sealed_pieces(self) -> Generator[Iterator[bytes]]:
        with ExitStack() as stages:
            plain = stages.enter_context(ahead(self._plain.passing(pieces_of(STANDARD_INPUT))))
            frame = stages.enter_context(ahead(compressed(plain)))
            fed = self._compressed.passing(frame)
            yield self._sealed.passing(stages.enter_context(self._crypt.turning(fed)))

    def _say_progress(self) -> None:
        self._say(
            {
                "event": "progress",
                "plainBytes": self._plain.size_bytes,
                "sealedBytes": self._sealed.size_bytes,
                "seconds": round(time.monotonic() - self._began, 3),
                "reasons": self._reasons(),
            }
        )

    def _reasons(self) -> dict[str, str | None]:
        return {name: each.reason for name, each in self._deliveries.items()}


def write(control: BinaryIO, say: Say) -> int:
    """Do what the first line of the control says; return the exit code."""
    plan = json.loads(control.readline())
    crypt = sealing(plan["recipients"])  # forks, so it comes before any thread
    writer = Writer(plan, crypt=crypt, say=say)
    try:
        orders = _orders(control)
        if not writer.seal():
            return 1
        writer.say_sealed()
        order = next(orders)
        others = [Beside(key, b64decode(data)) for key, data in order["beside"]]
        writer.commit([*others, Beside(order["key"], order["data"].encode())])
    except Cancelled:
        return 1
    except Exception as error:  # noqa: BLE001 - the parent tells it as the run's reason
        say({"event": "failed", "reason": f"{type(error).__name__}: {str(error)[:300]}"})
        return 1
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        writer.close()
    return 0


def _orders(control: BinaryIO) -> Iterator[dict[str, Any]]:
    """What the parent says from now on; its end cancels whatever goes on."""
    said: list[dict[str, Any]] = []
    heard = threading.Event()

    def listen() -> None:
        for line in control:
            said.append(json.loads(line))
            heard.set()
        if not said:
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=listen, daemon=True).start()

    def taken() -> Iterator[dict[str, Any]]:
        heard.wait()
        yield said[0]

    return taken()


def cancel(_number: int, _frame: FrameType | None) -> None:
    """End the run from within."""
    raise Cancelled


def teller(descriptor: int) -> Say:
    """Say things as lines of JSON; nobody who listens is no reason to end."""

    def say(event: Mapping[str, Any]) -> None:
        with suppress(BrokenPipeError):
            os.write(descriptor, json.dumps(event).encode() + b"\n")

    return say


def main() -> None:
    """Write one stream to its destinations and end, without waiting for threads that hang."""
    signal.signal(signal.SIGTERM, cancel)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control, events = (int(text) for text in sys.argv[1:3])
    with os.fdopen(control, "rb") as orders:
        code = write(orders, teller(events))
        os._exit(code)


if __name__ == "__main__":
    main()
