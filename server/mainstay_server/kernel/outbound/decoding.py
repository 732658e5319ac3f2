"""Decompress an answer without ever holding more than its limit."""

import zlib

from mainstay_server.kernel.outbound.errors import OutboundError

GZIP = 31  # window bits that make zlib expect a gzip header


class BoundedBody:
    """Collect an answer's body, decompressed, up to `max_bytes`.

    zlib is told how much it may produce, so a small answer that unpacks to gigabytes costs no more
    memory than the limit. `truncated` tells that there was more. A coding that we did not ask for
    (anything but gzip and deflate) is kept as it came.
    """

    def __init__(self, content_encoding: str, *, max_bytes: int) -> None:
        self._left = max_bytes
        self._packed_left = max_bytes + 65_536
        self._parts: list[bytes] = []
        self.truncated = False
        coding = content_encoding.strip().lower()
        self._gzip = coding in {"gzip", "x-gzip"}
        self._unpack = (
            zlib.decompressobj(GZIP)
            if self._gzip
            else zlib.decompressobj()
            if coding == "deflate"
            else None
        )
        self._untouched = True

    def add(self, chunk: bytes) -> bool:
        """Take the next bytes; return whether more are wanted."""
        self._packed_left -= len(chunk)
        plain = chunk if self._unpack is None else self._unpacked(chunk)
        if len(plain) > self._left or self._packed_left < 0:
            self.truncated = True
        self._parts.append(plain[: self._left])
        self._left -= len(self._parts[-1])
        return not self.truncated

    def _unpacked(self, chunk: bytes) -> bytes:
        assert self._unpack is not None
        try:
            plain = self._unpack.decompress(chunk, self._left + 1)
        except zlib.error as error:
            if self._gzip or not self._untouched:
                raise OutboundError(
                    "protocol",
                    f"The answer says it is compressed but does not unpack ({error}); "
                    "look at the other side.",
                ) from None
            # Some servers send raw deflate although RFC 9110 section 8.4.1.2 wants zlib's frame.
            self._unpack = zlib.decompressobj(-zlib.MAX_WBITS)
            self._untouched = False
            return self._unpacked(chunk)
        self._untouched = False
        return plain

    def joined(self) -> bytes:
        """Return what was collected."""
        return b"".join(self._parts)
