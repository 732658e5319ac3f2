"""Open a destination by its URL."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.copies.buckets import Bucket, Clock
from mainstay_server.kernel.copies.destinations import Destination
from mainstay_server.kernel.copies.folders import Folder


def open_destination(url: str, *, clock: Clock = utc_now) -> Destination:
    """Open `file:///folder` or `s3://bucket/prefix?endpoint=…&access_key_id=…&secret_access_key=…`.

    Nothing is asked of it yet. The clock is for signatures alone. Raises `ValueError` with what is
    wrong with the URL.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.path.startswith("/"):
        return Folder(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        return Bucket(url, clock=clock)
    raise ValueError("A destination's URL must be file:///folder or s3://bucket/prefix?…")
