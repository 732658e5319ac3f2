"""Any store with the API of S3 (AWS, MinIO, Spaces, Google's XML API): we sign, clients carry.

What the server itself asks goes the one checked way out, so that an endpoint cannot lead into our
own network where that is not allowed.
"""

import base64
import html
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

from mainstay_server.areas.storage.schemas.stores import Download, Found, Offer, Part, Wanted
from mainstay_server.kernel.outbound import OutboundError, Response, fetch_blocking
from mainstay_server.kernel.presigning import Asked, SigningKeys, path_of, presign, sign_form
from mainstay_server.kernel.problems import Conflict, Invalid, Unavailable

LABEL = "S3, MinIO, Spaces, Google Cloud Storage"
MARK = "x-amz-meta-mainstay-upload"
GOOGLE = "storage.googleapis.com"
FIELDS = {"endpoint", "region", "bucket", "prefix", "accessKeyId", "secretAccessKey", "uploadBy"}
NEEDED = ("bucket", "accessKeyId", "secretAccessKey")
LONGEST_FIELD = 500
LONGEST_ETAG = 200
SIZE = re.compile(r"[0-9]{1,15}")
ASK_SECONDS = 60
TIMEOUT_SECONDS = 30.0
MOST_ANSWER_BYTES = 8 << 20
MOST_SINGLE_BYTES = 5 << 30
LEAST_PART_BYTES = 16 << 20
MOST_PARTS = 1000
MOST_PAGES = 10_000
GONE = (HTTPStatus.OK, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND)
BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")


def checked(config: Mapping[str, Any]) -> dict[str, Any]:
    """The endpoint, bucket and keys; `uploadBy` is `post` unless it is Google's store."""
    texts = {name: str(value).strip() for name, value in config.items() if value not in (None, "")}
    unknown = sorted(set(config) - FIELDS)
    if unknown:
        raise Invalid(f"{unknown[0][:40]} is no field of an S3 store; see the API's description.")
    missing = [name for name in NEEDED if not texts.get(name)]
    if missing:
        raise Invalid(f"{missing[0]} is missing; an S3 store needs {', '.join(NEEDED)}.")
    if any(len(text) > LONGEST_FIELD or not text.isprintable() for text in texts.values()):
        raise Invalid(f"A field is longer than {LONGEST_FIELD} characters, or not printable.")
    if not BUCKET.fullmatch(texts["bucket"]):
        raise Invalid("bucket is no name of a bucket: 3 to 63 of a-z, 0-9, dots and dashes.")
    region = texts.setdefault("region", "us-east-1")
    endpoint = texts.setdefault("endpoint", f"https://s3.{region}.amazonaws.com").rstrip("/")
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
        raise Invalid("endpoint must be an address such as https://s3.eu-central-1.amazonaws.com.")
    texts["endpoint"] = endpoint
    texts["prefix"] = texts.get("prefix", "").strip("/")
    if any(part in ("", ".", "..") for part in texts["prefix"].split("/")) and texts["prefix"]:
        raise Invalid("prefix must be folders with single slashes between, such as apps/files.")
    texts.setdefault("uploadBy", "put" if parts.hostname == GOOGLE else "post")
    if texts["uploadBy"] not in ("post", "put"):
        raise Invalid("uploadBy is post (a form with a size limit) or put (the exact size signed).")
    return dict(texts)


def shown(config: Mapping[str, Any]) -> str:
    """The endpoint, bucket and prefix."""
    where = "/".join(part for part in (config["bucket"], config["prefix"]) if part)
    return f"{where} at {urlsplit(config['endpoint']).netloc}"


class S3Store:
    """One bucket, or the part of it below a prefix."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._endpoint: str = config["endpoint"]
        self._bucket: str = config["bucket"]
        self._prefix: str = config["prefix"]
        self._by_form = config["uploadBy"] == "post"
        self._keys = SigningKeys(config["accessKeyId"], config["secretAccessKey"], config["region"])

    def find(self, place: str, *, now: datetime) -> Found | None:
        """HEAD, with its checksum if it has one."""
        answer = self._ask("HEAD", place, headers={"x-amz-checksum-mode": "ENABLED"}, now=now)
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        _expect(answer, HTTPStatus.OK)
        headers = answer.headers
        checksum = headers.get("x-amz-checksum-sha256", "")
        whole = checksum and "-" not in checksum  # of an upload in parts it is one of checksums
        with _understood():
            return Found(
                place=place,
                size_bytes=_size(headers.get("content-length", "0")),
                changed_at=_date(headers.get("last-modified", ""), now),
                content_type=headers.get("content-type", ""),
                etag=headers.get("etag", "").strip('"')[:LONGEST_ETAG],
                sha256=base64.b64decode(checksum).hex() if whole else "",
                mark=headers.get(MARK, ""),
            )

    def remove(self, place: str, *, now: datetime) -> None:
        """DELETE; in a bucket with versions the older ones stay."""
        _expect(self._ask("DELETE", place, now=now), *GONE)

    def listing(self, *, now: datetime) -> Iterator[Found]:
        """ListObjectsV2, a thousand at a time."""
        mark = ""
        full = f"{self._prefix}/" if self._prefix else ""
        for _ in range(MOST_PAGES):
            query = {"list-type": "2", "max-keys": "1000", "prefix": full}
            if mark:
                query["continuation-token"] = mark
            answer = self._ask("GET", "", query=query, now=now)
            _expect(answer, HTTPStatus.OK)
            text = answer.body.decode(errors="replace")
            for row in re.findall(r"<Contents>(.*?)</Contents>", text, re.DOTALL):
                yield _listed(row, full)
            if _tag(text, "IsTruncated") != "true":
                return
            mark = _tag(text, "NextContinuationToken")

    def probe(self, *, now: datetime) -> None:
        """Write, find and delete a small object under a name of our own."""
        place = f".mainstay-probe-{token_hex(8)}"
        try:
            _expect(self._ask("PUT", place, body=b"probe", now=now), HTTPStatus.OK)
            if self.find(place, now=now) is None:
                raise Invalid("What was written is not there; check the endpoint and bucket.")
            self.remove(place, now=now)
        except Unavailable as problem:
            raise Invalid(problem.detail) from problem

    def offer(self, wanted: Wanted, *, seconds: int, now: datetime) -> Offer:
        """A form whose size the store checks, or a PUT whose exact size and type are signed."""
        if wanted.in_parts or wanted.size_bytes > MOST_SINGLE_BYTES:
            return self._offer_parts(wanted, seconds=seconds, now=now)
        if not self._by_form:
            headers = _headers(wanted)
            # The client's library says the length by itself, and a browser lets nobody else.
            exact = {**headers, "content-length": str(wanted.size_bytes)}
            asked = Asked(method="PUT", url=self._url(wanted.place), headers=exact)
            url = presign(asked, keys=self._keys, seconds=seconds, now=now)
            return Offer(method="PUT", url=url, headers=headers)
        fields = {
            "bucket": self._bucket,
            "key": self._full(wanted.place),
            "Content-Type": wanted.content_type,
            MARK: wanted.mark,
        }
        if wanted.sha256:
            fields["x-amz-checksum-algorithm"] = "SHA256"
            fields["x-amz-checksum-sha256"] = _base64(wanted.sha256)
        sized = [["content-length-range", 0, wanted.size_bytes]]
        signed = sign_form(fields, sized, keys=self._keys, seconds=seconds, now=now)
        return Offer(method="POST", url=self._url(""), fields=signed)

    def complete(self, place: str, upload_id: str, etags: Sequence[str], *, now: datetime) -> None:
        """CompleteMultipartUpload, with the ETags of the parts in their order."""
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{html.escape(etag)}</ETag></Part>"
            for number, etag in enumerate(etags, start=1)
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        answer = self._ask("POST", place, query={"uploadId": upload_id}, body=body, now=now)
        refused = answer.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND)
        text = answer.body.decode(errors="replace")
        # S3 answers 200 before it knows, and may say an error in the body.
        if refused or (answer.status == HTTPStatus.OK and "<Error>" in text):
            raise Conflict(
                f"The store does not put the parts together ({_tag(text, 'Code')}); send all of"
                " them and give back the ETag of each."
            )
        _expect(answer, HTTPStatus.OK)

    def abandon(self, place: str, upload_id: str, *, now: datetime) -> None:
        """AbortMultipartUpload."""
        _expect(self._ask("DELETE", place, query={"uploadId": upload_id}, now=now), *GONE)

    def download_url(self, wanted: Download, *, now: datetime) -> str:
        """A signed GET that says how the file is called and shown."""
        how = "inline" if wanted.inline else "attachment"
        name = path_of(wanted.filename)[1:]
        query = {
            "response-content-disposition": f"{how}; filename*=UTF-8''{name}",
            "response-content-type": wanted.content_type,
        }
        asked = Asked(method="GET", url=self._url(wanted.place), query=query)
        return presign(asked, keys=self._keys, seconds=wanted.seconds, now=now)

    def _offer_parts(self, wanted: Wanted, *, seconds: int, now: datetime) -> Offer:
        headers = {"content-type": wanted.content_type, MARK: wanted.mark}
        begun = self._ask("POST", wanted.place, query={"uploads": ""}, headers=headers, now=now)
        _expect(begun, HTTPStatus.OK)
        upload_id = _tag(begun.body.decode(errors="replace"), "UploadId")
        length = max(LEAST_PART_BYTES, -(-wanted.size_bytes // MOST_PARTS))
        parts = []
        for number, offset in enumerate(range(0, wanted.size_bytes, length), start=1):
            size = min(length, wanted.size_bytes - offset)
            asked = Asked(
                method="PUT",
                url=self._url(wanted.place),
                query={"partNumber": str(number), "uploadId": upload_id},
                headers={"content-length": str(size)},
            )
            url = presign(asked, keys=self._keys, seconds=seconds, now=now)
            parts.append(Part(number=number, url=url, offset=offset, size_bytes=size))
        return Offer(method="PUT", url="", parts=parts, upload_id=upload_id)

    def _full(self, place: str) -> str:
        return "/".join(part for part in (self._prefix, place) if part)

    def _url(self, place: str) -> str:
        parts = urlsplit(self._endpoint)
        path = path_of(parts.path.strip("/"), self._bucket, self._full(place) if place else "")
        return f"{parts.scheme}://{parts.netloc}{path}"

    def _ask(
        self,
        method: str,
        place: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        now: datetime,
    ) -> Response:
        asked = Asked(method=method, url=self._url(place), query=query or {}, headers=headers or {})
        url = presign(asked, keys=self._keys, seconds=ASK_SECONDS, now=now)
        try:
            return fetch_blocking(
                method,
                url,
                headers=headers,
                body=body,
                timeout_seconds=TIMEOUT_SECONDS,
                max_body_bytes=MOST_ANSWER_BYTES,
            )
        except OutboundError as error:
            raise Unavailable(
                f"{error.reason} The store is not reached.",
                code="store-unavailable",
                retry_after_seconds=30,
            ) from error


def opened(_bucket_id: str, config: Mapping[str, Any]) -> S3Store:
    """The bucket behind an endpoint."""
    return S3Store(config)


def _headers(wanted: Wanted) -> dict[str, str]:
    headers = {"content-type": wanted.content_type, MARK: wanted.mark}
    if wanted.sha256:
        headers["x-amz-checksum-sha256"] = _base64(wanted.sha256)
    return headers


def _listed(row: str, prefix: str) -> Found:
    with _understood():
        return Found(
            place=_tag(row, "Key").removeprefix(prefix),
            size_bytes=_size(_tag(row, "Size")),
            changed_at=datetime.fromisoformat(_tag(row, "LastModified")).astimezone(UTC),
            etag=_tag(row, "ETag").strip('"')[:LONGEST_ETAG],
        )


@contextmanager
def _understood() -> Iterator[None]:
    """Whoever answers may be anybody, and must not break off the work for other buckets."""
    try:
        yield
    except (ValueError, OverflowError) as error:
        raise Unavailable(
            "The store says what makes no sense; check that the endpoint speaks the API of S3.",
            code="store-strange",
            retry_after_seconds=30,
        ) from error


def _size(text: str) -> int:
    if not SIZE.fullmatch(text):
        raise ValueError(text[:40])
    return int(text)


def _expect(answer: Response, *statuses: int) -> None:
    if answer.status in statuses:
        return
    code = _tag(answer.body.decode(errors="replace"), "Code") or "no reason given"
    raise Unavailable(
        f"The store refused ({answer.status}, {code}); check the bucket's keys and their rights.",
        code="store-refused",
        retry_after_seconds=30,
    )


def _tag(text: str, name: str) -> str:
    found = re.search(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
    return html.unescape(found[1]) if found else ""


def _date(text: str, now: datetime) -> datetime:
    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except (TypeError, ValueError):
        return now


def _base64(digest: str) -> str:
    return base64.b64encode(bytes.fromhex(digest)).decode()
