"""Bodies that arrive at ingest doors: read, unpacked and never larger than promised."""

import asyncio
import zlib
from dataclasses import dataclass
from typing import Protocol

import brotli  # type: ignore[import-untyped]  # it ships no types
from backports import zstd
from starlette.types import Message, Receive, Scope

from mainstay_server.kernel.problems import Invalid, TooLarge, TooManyRequests, UnsupportedMedia
from mainstay_server.kernel.settings import ServerSettings, of

GZIP_WINDOW = 31  # window bits that make zlib expect a gzip header
GZIP = (b"gzip", b"x-gzip")
# sentry-ruby 5 sends an empty content encoding, sentry.java.android 2.0 sends "UTF-8".
PLAIN = (b"", b"identity", b"utf-8")
# What is unpacked at once before other requests get their turn: about 1 ms.
STEP_BYTES = 1 << 20
ZSTD_WINDOW_LOG = 23  # RFC 9659: a decoder of HTTP bodies supports windows up to 8 MiB
MIB = 1 << 20
# Of the waiting room: what all bodies that are being read may hold at once, unpacked. A few bytes
# unpack to many, so thousands of small requests could otherwise hold the limit of each.
UNDER_WAY_ROOMS = 4
TRY_AGAIN_SECONDS = 5


@dataclass
class _UnderWay:
    """The bytes of bodies that are not read to their end, of the whole process."""

    bytes: int = 0


_under_way = _UnderWay()


class _Unpacker(Protocol):
    """One compressed stream on its way to bytes."""

    @property
    def finished(self) -> bool:
        """Whether the stream came to its proper end."""

    def unpack(self, packed: bytes, most_bytes: int) -> tuple[bytes, bool]:
        """The next bytes, about `most_bytes` at most, and whether more are waiting inside."""


async def read_incoming(scope: Scope, receive: Receive, *, most_bytes: int) -> bytes:
    """Read a request's body and undo its content encoding: gzip, deflate, br or zstd.

    Neither what arrives nor what it unpacks to is ever held beyond `most_bytes`: a small body that
    unpacks to gigabytes is given up at the limit. Long unpacking lets other requests run.

    Raises:
        TooLarge: more than `most_bytes`, packed or unpacked.
        Invalid: the stream is damaged or ends early, or the client went away.
        UnsupportedMedia: an encoding that nobody promised.
        TooManyRequests: all bodies that are being read hold too much together.
    """
    encoding, declared_bytes = _described(scope["headers"])
    if declared_bytes > most_bytes:
        raise _too_large(most_bytes)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise _gone()
    body: bytes = message.get("body", b"")
    more = message.get("more_body", False)
    if not more and len(body) <= most_bytes:
        if encoding in PLAIN:
            return body
        if encoding in GZIP:
            at_once = _gunzip_at_once(body, min(most_bytes, STEP_BYTES))
            if at_once is not None:
                return at_once
    return await _read_on(message, receive, encoding, most_bytes=most_bytes)


def _described(headers: list[tuple[bytes, bytes]]) -> tuple[bytes, int]:
    encoding, declared = b"", 0
    for name, value in headers:
        if name == b"content-encoding":
            encoding = value.strip().lower()
        elif name == b"content-length" and value.isdigit():
            declared = int(value)
    return encoding, declared


def _gunzip_at_once(body: bytes, most_bytes: int) -> bytes | None:
    """The bytes of a whole, small, single gzip stream; None for all others."""
    unpacking = zlib.decompressobj(GZIP_WINDOW)
    try:
        plain = unpacking.decompress(body, most_bytes + 1)
    except zlib.error:
        return None
    if not unpacking.eof or unpacking.unused_data or len(plain) > most_bytes:
        return None
    return plain


async def _read_on(
    message: Message, receive: Receive, encoding: bytes, *, most_bytes: int
) -> bytes:
    found = bytearray()
    try:
        await _gather(found, message, receive, encoding, most_bytes=most_bytes)
        return bytes(found)
    finally:
        _under_way.bytes -= len(found)


async def _gather(
    found: bytearray, message: Message, receive: Receive, encoding: bytes, *, most_bytes: int
) -> None:
    unpacker = None if encoding in PLAIN else _unpacker_of(encoding)
    arrived_bytes = 0
    while True:
        body, more = message.get("body", b""), message.get("more_body", False)
        arrived_bytes += len(body)
        if arrived_bytes > most_bytes:
            raise _too_large(most_bytes)
        if unpacker is None:
            _add(found, body)
        else:
            await _unpack_into(found, unpacker, body, most_bytes=most_bytes)
        if not more:
            break
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _gone()
    if unpacker is not None and arrived_bytes and not unpacker.finished:
        raise Invalid("The compressed body ends early; send all of it.")


def _add(found: bytearray, plain: bytes) -> None:
    """Keep the next bytes of a body, as long as all bodies together leave room for them."""
    if _under_way.bytes + len(plain) > UNDER_WAY_ROOMS * of(ServerSettings).waiting_room_mib * MIB:
        raise TooManyRequests(
            "Too many bodies are under way at once; send it again in a moment.",
            code="bodies-full",
            retry_after_seconds=TRY_AGAIN_SECONDS,
        )
    _under_way.bytes += len(plain)
    found += plain


async def _unpack_into(
    found: bytearray, unpacker: _Unpacker, packed: bytes, *, most_bytes: int
) -> None:
    waiting = bool(packed)
    while waiting:
        try:
            plain, waiting = unpacker.unpack(packed, STEP_BYTES)
        except (zlib.error, brotli.error, zstd.ZstdError, EOFError) as error:
            raise Invalid(
                "The body does not unpack; check that Content-Encoding names its real encoding."
            ) from error
        packed = b""
        if len(found) + len(plain) > most_bytes:
            raise _too_large(most_bytes)
        _add(found, plain)
        if waiting:
            await asyncio.sleep(0)


class _Zlib:
    """gzip, or deflate in either form; several gzip members in a row are one body (RFC 1952)."""

    def __init__(self, *, gzip: bool) -> None:
        self._gzip = gzip
        self._stream = zlib.decompressobj(GZIP_WINDOW) if gzip else None
        self._packed = b""

    @property
    def finished(self) -> bool:
        return self._stream is not None and self._stream.eof and not self._packed

    def unpack(self, packed: bytes, most_bytes: int) -> tuple[bytes, bool]:
        self._packed += packed
        stream = self._open_stream()
        if stream is None:
            return b"", False
        plain = stream.decompress(self._packed, most_bytes)
        self._packed = stream.unused_data if stream.eof else stream.unconsumed_tail
        if stream.eof:
            return plain, bool(self._packed)
        # A full answer may leave output inside zlib even when all input was taken.
        return plain, bool(self._packed) or len(plain) == most_bytes

    def _open_stream(self) -> "zlib._Decompress | None":
        if self._stream is None:
            if len(self._packed) < 2:  # noqa: PLR2004 - zlib's header is two bytes
                return None
            self._stream = zlib.decompressobj(_deflate_window(self._packed))
        elif self._stream.eof:
            if not self._gzip:
                raise EOFError("bytes follow the end of the deflate stream")
            self._stream = zlib.decompressobj(GZIP_WINDOW)
        return self._stream


class _Brotli:
    """br; brotli's own output limit is a lower bound in steps of 32 KiB, good enough here."""

    def __init__(self) -> None:
        self._stream = brotli.Decompressor()

    @property
    def finished(self) -> bool:
        return bool(self._stream.is_finished())

    def unpack(self, packed: bytes, most_bytes: int) -> tuple[bytes, bool]:
        plain = self._stream.process(packed, output_buffer_limit=most_bytes)
        full = len(plain) >= most_bytes or not self._stream.can_accept_more_data()
        return plain, full and not self.finished


class _Zstd:
    """zstd; several frames in a row are one body (RFC 8878)."""

    def __init__(self) -> None:
        self._stream = self._new_stream()
        self._packed = b""

    @property
    def finished(self) -> bool:
        return self._stream.eof and not self._packed

    def unpack(self, packed: bytes, most_bytes: int) -> tuple[bytes, bool]:
        self._packed += packed
        if self._stream.eof:
            self._stream = self._new_stream()
        plain = self._stream.decompress(self._packed, most_bytes)
        self._packed = self._stream.unused_data if self._stream.eof else b""
        return plain, bool(self._packed) if self._stream.eof else not self._stream.needs_input

    @staticmethod
    def _new_stream() -> zstd.ZstdDecompressor:
        return zstd.ZstdDecompressor(
            options={zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG}
        )


def _unpacker_of(encoding: bytes) -> _Unpacker:
    if encoding in GZIP:
        return _Zlib(gzip=True)
    if encoding == b"deflate":
        return _Zlib(gzip=False)
    if encoding == b"br":
        return _Brotli()
    if encoding == b"zstd":
        return _Zstd()
    raise UnsupportedMedia(
        f"The content encoding {encoding.decode('latin-1')[:40]!r} is not read here; use gzip,"
        " deflate, br, zstd or none."
    )


def _deflate_window(packed: bytes) -> int:
    """The frame that RFC 9110 section 8.4.1.2 wants, or the raw form that some clients send."""
    framed = packed[0] & 0x0F == zlib.DEFLATED and int.from_bytes(packed[:2], "big") % 31 == 0
    return zlib.MAX_WBITS if framed else -zlib.MAX_WBITS


def _too_large(most_bytes: int) -> TooLarge:
    limit = f"{most_bytes // MIB} MiB" if most_bytes >= MIB else f"{most_bytes} bytes"
    return TooLarge(f"The body is over the limit of {limit}; send less at once.")


def _gone() -> Invalid:
    return Invalid("The client went away before its body was complete; send it again.")
