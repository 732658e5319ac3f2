"""Bodies are unpacked in every encoding that clients use, and never beyond the limit."""

import asyncio
import gzip
import random
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import brotli  # type: ignore[import-untyped]  # it ships no types
import pytest
from backports import zstd
from mainstay_server.kernel.problems import (
    Invalid,
    Problem,
    TooLarge,
    TooManyRequests,
    UnsupportedMedia,
)
from mainstay_server.kernel.web import incoming
from mainstay_server.kernel.web.incoming import STEP_BYTES, read_incoming

NOISE = random.Random(7).randbytes(3000)
PLAIN = NOISE + b"the same again and again " * 400


def raw_deflate(plain: bytes) -> bytes:
    packing = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packing.compress(plain) + packing.flush()


PACKERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "none": ("", bytes),
    "empty name": ("", bytes),
    "UTF-8": ("UTF-8", bytes),
    "identity": ("identity", bytes),
    "gzip": ("gzip", gzip.compress),
    "GZIP in capitals": ("GZIP", gzip.compress),
    "two gzip members": ("gzip", lambda p: gzip.compress(p[:100]) + gzip.compress(p[100:])),
    "deflate as zlib": ("deflate", zlib.compress),
    "deflate, weakest": ("deflate", lambda p: zlib.compress(p, 0)),
    "deflate, raw": ("deflate", raw_deflate),
    "br": ("br", lambda p: bytes(brotli.compress(p, quality=3))),
    "zstd": ("zstd", zstd.compress),
    "two zstd frames": ("zstd", lambda p: zstd.compress(p[:100]) + zstd.compress(p[100:])),
}
COMPRESSED = ["gzip", "deflate as zlib", "deflate, raw", "br", "zstd"]


def read(
    chunks: Sequence[bytes],
    *,
    encoding: str | None = None,
    most_bytes: int = 1 << 20,
    length: int | None = None,
    goes_away: bool = False,
) -> bytes:
    headers = [(b"host", b"localhost")]
    if encoding is not None:
        headers.append((b"content-encoding", encoding.encode()))
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": chunk, "more_body": goes_away or n < len(chunks) - 1}
        for n, chunk in enumerate(chunks)
    ]
    messages.append({"type": "http.disconnect"})

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    return asyncio.run(read_incoming({"headers": headers}, receive, most_bytes=most_bytes))


def in_pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1, 7, 1000, 1 << 20])
@pytest.mark.parametrize("form", PACKERS)
def test_every_encoding_comes_back_whole_however_it_is_cut(form: str, size: int) -> None:
    encoding, pack = PACKERS[form]

    assert read(in_pieces(pack(PLAIN), size), encoding=encoding) == PLAIN


def test_a_body_without_an_encoding_header_is_taken_as_it_is() -> None:
    assert read([b"abc", b"", b"def"]) == b"abcdef"


@pytest.mark.parametrize("form", PACKERS)
def test_an_empty_body_is_empty_in_every_encoding(form: str) -> None:
    assert read([b""], encoding=PACKERS[form][0]) == b""


@pytest.mark.parametrize("size", [100, 1 << 20])
@pytest.mark.parametrize("form", COMPRESSED)
def test_a_body_that_ends_early_is_refused(form: str, size: int) -> None:
    encoding, pack = PACKERS[form]

    with pytest.raises(Invalid, match="ends early"):
        read(in_pieces(pack(PLAIN)[:-5], size), encoding=encoding)


@pytest.mark.parametrize("form", COMPRESSED)
def test_bytes_that_are_not_what_they_say_are_refused(form: str) -> None:
    with pytest.raises(Invalid):
        read([b"\xff\xfeplain text, not compressed at all" * 9], encoding=PACKERS[form][0])


@pytest.mark.parametrize("form", COMPRESSED)
def test_a_bomb_is_given_up_at_the_limit(form: str) -> None:
    encoding, pack = PACKERS[form]
    bomb = pack(bytes(100 << 20))

    with pytest.raises(TooLarge, match="2 MiB"):
        read(in_pieces(bomb, 64 << 10), encoding=encoding, most_bytes=2 << 20)


@pytest.mark.parametrize("form", COMPRESSED)
def test_what_unpacks_over_many_steps_comes_back_whole(form: str) -> None:
    encoding, pack = PACKERS[form]
    large = PLAIN * 300
    assert len(large) > 3 * STEP_BYTES

    assert read([pack(large)], encoding=encoding, most_bytes=len(large)) == large


@pytest.mark.parametrize("form", ["none", *COMPRESSED])
def test_a_body_of_exactly_the_limit_passes_and_one_byte_more_does_not(form: str) -> None:
    encoding, pack = PACKERS[form]
    body = b"x" * 5000

    assert read([pack(body)], encoding=encoding, most_bytes=5000) == body
    with pytest.raises(TooLarge, match="5000 bytes"):
        read([pack(body + b"x")], encoding=encoding, most_bytes=5000)


def test_a_length_over_the_limit_is_refused_before_anything_is_read() -> None:
    with pytest.raises(TooLarge):
        read([], length=5001, most_bytes=5000)


def test_packed_bytes_count_too() -> None:
    noise = gzip.compress(b"") * 300

    with pytest.raises(TooLarge):
        read(in_pieces(noise, 100), encoding="gzip", most_bytes=1000)


@pytest.mark.parametrize(
    ("encoding", "problem"), [("compress", UnsupportedMedia), ("gzip, br", UnsupportedMedia)]
)
def test_an_unknown_encoding_is_refused_by_name(encoding: str, problem: type[Problem]) -> None:
    with pytest.raises(problem, match=encoding):
        read([b"abc"], encoding=encoding)


@pytest.mark.parametrize("sent", [[], [b"half"]])
def test_a_client_that_goes_away_leaves_nothing(sent: list[bytes]) -> None:
    with pytest.raises(Invalid, match="went away"):
        read(sent, goes_away=True)


@pytest.mark.slow
def test_what_many_small_bodies_unpack_to_is_bounded_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(incoming, "UNDER_WAY_ROOMS", 1)  # of 64 MiB
    bomb = gzip.compress(bytes(20 << 20))

    async def read_all(number: int) -> list[bytes | BaseException]:
        async def read_one() -> bytes:
            async def receive() -> dict[str, Any]:
                return {"type": "http.request", "body": bomb}

            scope = {"headers": [(b"content-encoding", b"gzip")]}
            return await read_incoming(scope, receive, most_bytes=20 << 20)

        return await asyncio.gather(*(read_one() for _ in range(number)), return_exceptions=True)

    outcomes = asyncio.run(read_all(20))
    refused = [outcome for outcome in outcomes if isinstance(outcome, TooManyRequests)]
    assert 0 < len(refused) < 20
    assert all(len(body) == 20 << 20 for body in outcomes if isinstance(body, bytes))
    assert [type(outcome) for outcome in asyncio.run(read_all(3))] == [bytes] * 3  # none is held
