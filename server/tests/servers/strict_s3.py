"""A gate before moto's S3 that checks what S3 checks and moto does not: signatures, time, forms.

Written from Amazon's description of Signature Version 4, and not from the code that signs.
"""

import base64
import hashlib
import hmac
import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from tests.servers.s3 import S3Server
from tests.waiting import PATIENCE_SECONDS
from typing_extensions import override

SEVEN_DAYS = 604_800
UNCHECKED_FIELDS = {"file", "policy", "x-amz-signature"}


class Refused(Exception):
    """What S3 would answer: a status and a code."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


class StrictS3:
    """Requests that hold go on to moto. `now` and `is_busy` may be set; `seen` went on."""

    def __init__(self, behind: S3Server, port: int) -> None:
        self.behind, self.port = behind, port
        self.now: datetime | None = None
        self.is_busy = False
        self.seen: list[tuple[str, str]] = []

    def config(self, prefix: str = "apps", **more: str) -> dict[str, str]:
        """The config of a storage bucket in a fresh, empty bucket of this store."""
        bucket = urlsplit(self.behind.new_bucket()).netloc
        return {
            "endpoint": f"http://127.0.0.1:{self.port}",
            "bucket": bucket,
            "prefix": prefix,
            "region": self.behind.region,
            "accessKeyId": self.behind.access_key_id,
            "secretAccessKey": self.behind.secret_access_key,
            **more,
        }

    def check(self, method: str, target: str, headers: Any, body: bytes) -> None:
        """Raise `Refused` unless S3 would take the request."""
        if self.is_busy:
            raise Refused(503, "SlowDown")
        kind = headers.get("content-type", "")
        if method == "POST" and kind.startswith("multipart/form-data"):
            self._check_form(kind, body)
        else:
            self._check_query(method, target, headers)

    def _time(self) -> datetime:
        return self.now or datetime.now(UTC)

    def _check_query(self, method: str, target: str, headers: Any) -> None:
        parts = urlsplit(target)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        query = dict(pairs)
        if "X-Amz-Signature" not in query:
            raise Refused(403, "AccessDenied")
        given = query.pop("X-Amz-Signature")
        began = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        lasts = int(query["X-Amz-Expires"])
        if not 1 <= lasts <= SEVEN_DAYS:
            raise Refused(400, "AuthorizationQueryParametersError")
        if self._time() >= began + timedelta(seconds=lasts):
            raise Refused(403, "AccessDenied")
        encoded = sorted((_escaped(name), _escaped(value)) for name, value in query.items())
        line = "&".join(f"{name}={value}" for name, value in encoded)
        names = query["X-Amz-SignedHeaders"].split(";")
        told = "".join(f"{name}:{(headers.get(name) or '').strip()}\n" for name in names)
        path = "/".join(_escaped(unquote(part)) for part in parts.path.split("/"))
        whole = "\n".join((method, path, line, told, ";".join(names), "UNSIGNED-PAYLOAD"))
        key_id, day, region, service, end = query["X-Amz-Credential"].split("/")
        scope = f"{day}/{region}/{service}/{end}"
        digest = hashlib.sha256(whole.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{query['X-Amz-Date']}\n{scope}\n{digest}"
        if key_id != self.behind.access_key_id or given != self._sign(scope, text):
            raise Refused(403, "SignatureDoesNotMatch")

    def _check_form(self, kind: str, body: bytes) -> None:
        form = message_from_bytes(b"content-type: " + kind.encode() + b"\r\n\r\n" + body)
        fields: dict[str, bytes] = {}
        for part in form.get_payload():
            assert not isinstance(part, str)
            name = part.get_param("name", header="content-disposition")
            payload = part.get_payload(decode=True) or b""
            assert isinstance(payload, bytes)
            fields[str(name).lower()] = payload
        texts = {name: value.decode() for name, value in fields.items() if name != "file"}
        key_id, scope = texts["x-amz-credential"].split("/", 1)
        if key_id != self.behind.access_key_id or texts["x-amz-signature"] != self._sign(
            scope, texts["policy"]
        ):
            raise Refused(403, "SignatureDoesNotMatch")
        policy = json.loads(base64.b64decode(texts["policy"]))
        if self._time() >= datetime.fromisoformat(policy["expiration"]):
            raise Refused(403, "AccessDenied")
        told = {name for each in policy["conditions"] for name in _told(each, texts, fields)}
        if set(texts) - UNCHECKED_FIELDS - told:
            raise Refused(403, "AccessDenied")

    def _sign(self, scope: str, text: str) -> str:
        key = f"AWS4{self.behind.secret_access_key}".encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _told(condition: Any, texts: dict[str, str], fields: dict[str, bytes]) -> Iterator[str]:
    """Check one condition of a policy; the field that it is about."""
    if isinstance(condition, list):
        assert condition[0] == "content-length-range", condition
        if not condition[1] <= len(fields["file"]) <= condition[2]:
            raise Refused(400, "EntityTooLarge")
        return
    ((name, value),) = condition.items()
    if name != "bucket" and texts.get(name.lower()) != value:
        raise Refused(403, "AccessDenied")
    yield name.lower()


def _escaped(text: str) -> str:
    return quote(text, safe="-_.~")


class Handler(BaseHTTPRequestHandler):
    """Checks a request and passes it on."""

    protocol_version = "HTTP/1.1"
    gate: ClassVar[StrictS3]

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            self.gate.check(self.command, self.path, self.headers, body)
        except Refused as refused:
            self._send(refused.status, {}, f"<Error><Code>{refused.code}</Code></Error>".encode())
            return
        self.gate.seen.append((self.command, self.path))
        port = self.gate.behind.port
        there = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        kept = {n: v for n, v in self.headers.items() if n.lower() != "host"}
        there.request(self.command, self.path, body=body, headers=kept)
        found = there.getresponse()
        data = found.read()
        there.close()
        self._send(found.status, dict(found.getheaders()), data)

    def do_OPTIONS(self) -> None:
        """What a bucket answers whose rules (CORS) allow every page to upload."""
        allowed = {
            "access-control-allow-methods": "GET, POST, PUT",
            "access-control-allow-headers": "*",
        }
        self._send(200, allowed, b"")

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815

    def _send(self, status: int, headers: dict[str, str], data: bytes) -> None:
        is_head = self.command == "HEAD"
        self.send_response(status)
        self.send_header("access-control-allow-origin", "*")
        self.send_header("access-control-expose-headers", "etag")
        left_out = {"transfer-encoding", "connection", "date", "server"}
        left_out |= {"access-control-allow-origin", "access-control-expose-headers"}
        if not is_head:
            left_out.add("content-length")
            self.send_header("content-length", str(len(data)))
        for name, value in headers.items():
            if name.lower() not in left_out:
                self.send_header(name, value)
        self.end_headers()
        if not is_head:
            self.wfile.write(data)

    @override
    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@contextmanager
def running_strict_s3(behind: S3Server) -> Iterator[StrictS3]:
    """The gate on a free port of this machine."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Handler.gate = gate = StrictS3(behind, server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield gate
    finally:
        server.shutdown()
        server.server_close()
