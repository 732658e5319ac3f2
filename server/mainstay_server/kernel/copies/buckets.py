"""A bucket as a destination: multipart uploads that are completed or aborted, and object locks."""

import base64
import hashlib
import html
import http.client
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import islice
from urllib.parse import parse_qsl, urlsplit

from mainstay_server.kernel.blobs import checked
from mainstay_server.kernel.copies.destinations import CopyMissing, DestinationFailed, Locked
from mainstay_server.kernel.copies.signed_requests import Answer, Away, Signer

MIN_PART_BYTES = 8 << 20
UNKNOWN_PART_BYTES = 16 << 20  # S3 takes 10,000 parts, so this is enough for 156 GiB
FEWEST_PARTS = 9_000
PARTS_AT_ONCE = 2
PIECE_BYTES = 1 << 20
MAX_PAGES = 100
PAUSES = (0.5, 2.0, 5.0)
BUSY = (HTTPStatus.TOO_MANY_REQUESTS, *(HTTPStatus(n) for n in (500, 502, 503, 504)))
MD5_HEADER = "content-md5"
CODE = re.compile(r"[A-Za-z.]{1,60}")

Clock = Callable[[], datetime]


class BucketUpload:
    """An object in parts; S3 shows it when it is completed, and a small one is put at once."""

    def __init__(self, bucket: "Bucket", key: str, *, part_bytes: int) -> None:
        self._bucket, self._key, self._part_bytes = bucket, checked(key), part_bytes
        self._gathered = bytearray()
        self._upload_id = ""
        self._pool = ThreadPoolExecutor(PARTS_AT_ONCE, thread_name_prefix="parts")
        self._sent: list[Future[str]] = []

    def write(self, piece: bytes) -> None:
        """Gather parts and send them, two at once."""
        self._gathered += piece
        while len(self._gathered) >= self._part_bytes:
            part = bytes(self._gathered[: self._part_bytes])
            del self._gathered[: self._part_bytes]
            self._send(part)

    def prepare(self) -> None:
        """Nothing: what is not sent yet goes with the completion."""

    def commit(self) -> None:
        """Send the last part and complete."""
        if not self._upload_id:
            self._bucket.put(self._key, bytes(self._gathered))
        else:
            if self._gathered:
                self._send(bytes(self._gathered))
            tags = [sent.result() for sent in self._sent]
            self._bucket.complete(self._key, self._upload_id, tags)
        self._pool.shutdown()

    def abort(self) -> None:
        """Abort what is open under this key."""
        self._pool.shutdown(cancel_futures=True)
        self._bucket.abort_uploads(lambda key: key == self._key, folder=self._key)

    def _send(self, part: bytes) -> None:
        if not self._upload_id:
            self._upload_id = self._bucket.begin_parts(self._key)
        if len(self._sent) >= PARTS_AT_ONCE:  # so that no more than these are held in memory
            self._sent[-PARTS_AT_ONCE].result()
        number = len(self._sent) + 1
        self._sent.append(
            self._pool.submit(self._bucket.put_part, self._key, self._upload_id, number, part)
        )


class Bucket:
    """A bucket of an S3-compatible store; the URL carries its keys, for the janitor signs too."""

    def __init__(self, url: str, *, clock: Clock) -> None:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
        missing = {"access_key_id", "secret_access_key"} - set(options)
        if missing:
            raise ValueError(f"The destination's URL lacks {' and '.join(sorted(missing))}")
        region = options.get("region", "us-east-1")
        self._clock = clock
        self._wants_md5 = False
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
        self._store(key, {}, data)

    def begin_parts(self, key: str) -> str:
        """The id of a new upload in parts."""
        begun = self._ask("POST", key, {"uploads": ""}, body=b"")
        _expect(begun, HTTPStatus.OK)
        upload_id = _tag(begun.text, "UploadId")
        if not upload_id:
            raise DestinationFailed("The store began no upload; check that it speaks S3.")
        return upload_id

    def put_part(self, key: str, upload_id: str, number: int, part: bytes) -> str:
        """Store one part; returns its entity tag."""
        query = {"partNumber": str(number), "uploadId": upload_id}
        return self._store(key, query, part).headers.get("etag", "")

    def _store(self, key: str, query: Mapping[str, str], data: bytes) -> Answer:
        """Put bytes, with their MD5 once a store has asked for it, as locked buckets do.

        All are signed with their SHA-256; who does not ask need not wait for a second sum.
        """
        sent = self._ask_again("PUT", key, query, body=data)
        if sent.status == HTTPStatus.BAD_REQUEST and MD5_HEADER in sent.text.lower():
            self._wants_md5 = True
            sent = self._ask_again("PUT", key, query, body=data)
        _expect(sent, HTTPStatus.OK)
        return sent

    def complete(self, key: str, upload_id: str, tags: Sequence[str]) -> None:
        """Put the parts together; S3 may say 200 before it knows, and an error in the body."""
        listed = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{html.escape(tag)}</ETag></Part>"
            for number, tag in enumerate(tags, start=1)
        )
        body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
        done = self._ask("POST", key, {"uploadId": upload_id}, body=body)
        _expect(done, HTTPStatus.OK)
        if "<Error>" in done.text:
            raise _refused(done)

    def stream(self, key: str) -> Iterator[bytes]:
        """Give the object in pieces; a line that breaks is taken up where it was, a few times."""
        opened = ExitStack()
        try:
            answer = self._open(opened, key, 0, "")
        except BaseException:
            opened.close()
            raise
        return self._pieces(opened, answer, key)

    def _pieces(
        self, opened: ExitStack, answer: http.client.HTTPResponse, key: str
    ) -> Iterator[bytes]:
        offset, pauses, tag = 0, iter(PAUSES), answer.getheader("etag", "")
        with opened:
            while True:
                with suppress(OSError, http.client.HTTPException):
                    while piece := answer.read(PIECE_BYTES):
                        offset += len(piece)
                        yield piece
                    if not answer.length:  # else the line broke before its end
                        return
                if (pause := next(pauses, None)) is None:
                    raise DestinationFailed("The line to the store broke again and again.")
                time.sleep(pause)
                answer = self._open(opened, key, offset, tag)

    def _open(self, opened: ExitStack, key: str, offset: int, tag: str) -> http.client.HTTPResponse:
        """The answer from a place on, of the object with the entity tag."""
        headers = {"range": f"bytes={offset}-", "if-match": tag} if offset else {}
        opened.close()
        asked = self._signer.asking(
            "GET", self._full(checked(key)), headers=headers, now=self._clock()
        )
        answer = opened.enter_context(asked)
        if answer.status == HTTPStatus.NOT_FOUND and not offset:
            raise CopyMissing(f"There is no {key} in the bucket {self._signer.bucket}.")
        wanted = HTTPStatus.PARTIAL_CONTENT if offset else HTTPStatus.OK
        if answer.status != wanted:
            text = answer.read(MIN_PART_BYTES).decode(errors="replace")
            raise _refused(Answer(answer.status, {}, text))
        return answer

    def keys(self, folder: str, *, limit: int = 100_000) -> list[str]:
        """The objects below a folder."""
        return sorted(islice(self._listed(folder), limit))

    def _listed(self, folder: str) -> Iterator[str]:
        full = self._full(checked(folder)) if folder else self._prefix
        query = {"list-type": "2", "prefix": f"{full}/" if full else ""}
        for _ in range(MAX_PAGES):
            page = self._ask_again("GET", "", query)
            _expect(page, HTTPStatus.OK)
            for row in re.findall(r"<Contents>(.*?)</Contents>", page.text, re.DOTALL):
                yield _tag(row, "Key").removeprefix(f"{self._prefix}/" if self._prefix else "")
            if _tag(page.text, "IsTruncated") != "true":
                return
            query["continuation-token"] = _tag(page.text, "NextContinuationToken")

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

    def _ask(
        self,
        method: str,
        key: str,
        query: Mapping[str, str] | None = None,
        *,
        body: bytes | None = None,
    ) -> Answer:
        full = self._full(checked(key)) if key else ""
        headers = _md5(body) if method == "PUT" and body and self._wants_md5 else {}
        return self._signer.ask(method, full, query, body=body, headers=headers, now=self._clock())

    def _ask_again(
        self,
        method: str,
        key: str,
        query: Mapping[str, str] | None = None,
        *,
        body: bytes | None = None,
    ) -> Answer:
        """Ask what may be asked twice, again while the store is away or has no time."""
        for pause in PAUSES:
            with suppress(Away):
                answer = self._ask(method, key, query, body=body)
                if answer.status not in BUSY:
                    return answer
            time.sleep(pause)
        return self._ask(method, key, query, body=body)

    def _full(self, key: str) -> str:
        return "/".join(part for part in (self._prefix, key) if part)


def _md5(data: bytes) -> dict[str, str]:
    digest = hashlib.md5(data, usedforsecurity=False).digest()
    return {MD5_HEADER: base64.b64encode(digest).decode()}


def _refuse_locked(key: str, found: Answer, *, now: datetime) -> None:
    text = found.headers.get("x-amz-object-lock-retain-until-date")
    until = datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None
    if until is not None and until.replace(tzinfo=until.tzinfo or UTC) > now:
        raise Locked(key, until)
    if found.headers.get("x-amz-object-lock-legal-hold") == "ON":
        raise Locked(key)


def _expect(answer: Answer, *statuses: int) -> None:
    if answer.status not in statuses:
        raise _refused(answer)


def _refused(answer: Answer) -> DestinationFailed:
    """Its status and code; what else it says is told to nobody."""
    code = _tag(answer.text, "Code")
    known = code if CODE.fullmatch(code) else "no reason given"
    return DestinationFailed(
        f"The store refused ({answer.status}, {known}); check its keys and their rights."
    )


def _tag(text: str, name: str) -> str:
    found = re.search(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
    return html.unescape(found[1]) if found else ""
