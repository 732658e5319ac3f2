"""zstd: one frame with a checksum of its content, as `zstd -3` writes it."""

from collections.abc import Iterable, Iterator

from backports.zstd import CompressionParameter, ZstdCompressor, ZstdDecompressor, ZstdError

LEVEL = 3
MOST_BYTES_AT_ONCE = 1 << 20  # a frame may hold a thousand times what it takes


class FrameBroken(Exception):
    """What was decrypted is no whole zstd frame, or its checksum is another."""


def compressed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The frame of what the pieces hold."""
    options: dict[int, int] = {
        CompressionParameter.compression_level: LEVEL,
        CompressionParameter.checksum_flag: 1,
    }
    compressor = ZstdCompressor(options=options)
    for piece in pieces:
        if made := compressor.compress(piece):
            yield made
    yield compressor.flush()


def decompressed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """What the frame holds; raises `FrameBroken`, after some of it was given."""
    taken = iter(pieces)
    try:
        yield from _contents_of(taken)
    except FrameBroken:
        for _ in taken:  # whoever counts them counts all, and may know a deeper reason
            pass
        raise


def _contents_of(pieces: Iterable[bytes]) -> Iterator[bytes]:
    decompressor = ZstdDecompressor()
    for piece in pieces:
        if decompressor.eof:
            raise FrameBroken("something follows the zstd frame")
        yield from _made_of(decompressor, piece)
    if not decompressor.eof:
        raise FrameBroken("the zstd frame ends too early")


def _made_of(decompressor: ZstdDecompressor, piece: bytes) -> Iterator[bytes]:
    given = piece
    while True:
        try:
            made = decompressor.decompress(given, MOST_BYTES_AT_ONCE)
        except ZstdError as error:
            raise FrameBroken(f"zstd says: {error}") from None
        if made:
            yield made
        if decompressor.eof or decompressor.needs_input:
            break
        given = b""
    if decompressor.unused_data != b"":
        raise FrameBroken("something follows the zstd frame")
