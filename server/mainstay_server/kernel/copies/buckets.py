"""A bucket as a destination: multipart uploads that are completed or aborted, and object locks."""

import html
import re
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import islice
from urllib.parse import parse_qsl, urlsplit

import obstore

from mainstay_server.kernel.blobs import checked, cloud_store
from mainstay_server.kernel.copies.destinations import CopyMissing, DestinationFailed, Locked
from mainstay_server.kernel.copies.signed_requests import Answer, Signer

MIN_PART_BYTES = 8 << 20
UNKNOWN_PART_BYTES = 16 << 20  # S3 takes 10,000 parts, so this is enough for 156 GiB
FEWEST_PARTS = 9_000
PARTS_AT_ONCE = 2
PIECE_BYTES = 1 << 20
MAX_PAGES = 100

Clock = Callable[[], datetime]


class BucketUpload:
    """An object in parts; S3 shows it when it is completed, and a small one is put at once."""

    def __init__(self, bucket: "Bucket", key: str, *, part_bytes: int) -> None:
        self._bucket, self._key = bucket, key
        self._writer = obstore.open_writer(
            bucket.store, checked(key), buffer_size=part_bytes, max_concurrency=PARTS_AT_ONCE
        )

    def write(self, piece: bytes) -> None:
        """Gather parts and send them."""
        self._writer.write(piece)

    def prepare(self) -> None:
        """Nothing: what is not sent yet goes with the completion."""

    def commit(self) -> None:
        """Send the last part and complete."""
        self._writer.close()

    def abort(self) -> None:
        """Abort what is open under this key."""
        self._bucket.abort_uploads(lambda key: key == self._key, folder=self._key)


class Bucket:
    """A bucket of an S3-compatible store; the URL carries its keys, for the janitor signs too."""

    def __init__(self, url: str, *, clock: Clock) -> None:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
        missing = {"access_key_id", "secret_access_key"} - set(options)
        if missing:
            raise ValueError(f"The destination's URL lacks {' and '.join(sorted(missing))}")
        region = options.get("region", "us-east-1")
        self.store = cloud_store(url, name="The destination's URL")
        self._clock = clock
        self._prefix = parts.path.strip("/")
        self._signer = Signer(
            endpoint=options.get("endpoint", f"https://s3.{region}.amazonaws.com"),
            bucket=parts.netloc,
            region=region,
            access_key_id=options["access_key_id"],
            secret_access_key=options["secret_access_key"],
        )

    def begin(self, key: str, *, expected_bytes: int) -> BucketUpload:
        """Begin an upload, with parts large enough that their number suffices."""
        wanted = -(-expected_bytes // FEWEST_PARTS) if expected_bytes else UNKNOWN_PART_BYTES
        return BucketUpload(self, key, part_bytes=max(MIN_PART_BYTES, wanted))

    def put(self, key: str, data: bytes) -> None:
        """Store a small object."""
        obstore.put(self.store, checked(key), data, use_multipart=False)

    def stream(self, key: str) -> Iterator[bytes]:
        """Give the object in pieces."""
        try:
            found = obstore.get(self.store, checked(key))
        except FileNotFoundError:
            raise CopyMissing(f"There is no {key} in the bucket {self._signer.bucket}.") from None
        return (bytes(piece) for piece in found.stream(min_chunk_size=PIECE_BYTES))

    def keys(self, folder: str, *, limit: int = 100_000) -> list[str]:
        """The objects below a folder."""
        rows = obstore.list(self.store, checked(folder) if folder else None)
        return list(islice((str(row["path"]) for batch in rows for row in batch), limit))

    def remove(self, key: str, *, now: datetime) -> None:
        """Delete this very version: in a locked bucket a plain delete only hides it."""
        found = self._ask("HEAD", key)
        if found.status == HTTPStatus.NOT_FOUND:
            return
        _refuse_locked(key, found, now=now)
        version = found.headers.get("x-amz-version-id")
        removed = self._ask("DELETE", key, {"versionId": version} if version else {})
        if removed.status == HTTPStatus.FORBIDDEN:
            raise Locked(key)
        _expect(removed, HTTPStatus.OK, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND)

    def sweep(self, folder: str, *, running: Collection[str] = (), of: str = "") -> list[str]:
        """Abort the multipart uploads of runs that ended without a word."""
        return self.abort_uploads(lambda key: of in key and key not in running, folder=folder)

    def free_bytes(self) -> int | None:
        """A bucket says nothing of its bounds."""
        return None

    def abort_uploads(self, is_meant: Callable[[str], bool], *, folder: str) -> list[str]:
        """Abort the open uploads below a folder that are meant; return their keys."""
        aborted = []
        for full, upload in list(self._open_uploads(self._full(folder))):
            key = full.removeprefix(f"{self._prefix}/") if self._prefix else full
            if is_meant(key):
                done = self._ask("DELETE", key, {"uploadId": upload})
                _expect(done, HTTPStatus.OK, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND)
                aborted.append(key)
        return sorted(aborted)

    def _open_uploads(self, prefix: str) -> Iterator[tuple[str, str]]:
        marks: dict[str, str] = {}
        for _ in range(MAX_PAGES):
            query = {"uploads": "", "prefix": prefix, **marks}
            page = self._signer.ask("GET", query=query, now=self._clock())
            _expect(page, HTTPStatus.OK)
            for upload in re.findall(r"<Upload>(.*?)</Upload>", page.text, re.DOTALL):
                yield _tag(upload, "Key"), _tag(upload, "UploadId")
            if _tag(page.text, "IsTruncated") != "true":
                return
            marks = {
                "key-marker": _tag(page.text, "NextKeyMarker"),
                "upload-id-marker": _tag(page.text, "NextUploadIdMarker"),
            }

    def _ask(self, method: str, key: str, query: dict[str, str] | None = None) -> Answer:
        return self._signer.ask(method, self._full(checked(key)), query, now=self._clock())

    def _full(self, key: str) -> str:
        return "/".join(part for part in (self._prefix, key) if part)


def _refuse_locked(key: str, found: Answer, *, now: datetime) -> None:
    text = found.headers.get("x-amz-object-lock-retain-until-date")
    until = datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None
    if until is not None and until.replace(tzinfo=until.tzinfo or UTC) > now:
        raise Locked(key, until)
    if found.headers.get("x-amz-object-lock-legal-hold") == "ON":
        raise Locked(key)


def _expect(answer: Answer, *statuses: int) -> None:
    if answer.status not in statuses:
        code = _tag(answer.text, "Code") or "no reason given"
        raise DestinationFailed(
            f"The store refused ({answer.status}, {code}); check its keys and their rights."
        )


def _tag(text: str, name: str) -> str:
    found = re.search(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
    return html.unescape(found[1]) if found else ""
