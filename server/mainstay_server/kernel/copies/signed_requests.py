"""Signed requests (AWS Signature Version 4): what S3 answers and obstore does not ask."""

import hashlib
import hmac
import http.client
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, urlencode, urlsplit

from mainstay_server.kernel.copies.destinations import DestinationFailed

EMPTY = hashlib.sha256(b"").hexdigest()
TIMEOUT_SECONDS = 30.0
MAX_ANSWER_BYTES = 8 << 20  # a thousand uploads or keys take far less


@dataclass(frozen=True)
class Answer:
    """What the store said; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    text: str


@dataclass(frozen=True)
class Signer:
    """Who asks which bucket; the secret is never shown."""

    endpoint: str
    bucket: str
    region: str
    access_key_id: str
    secret_access_key: str = field(repr=False)

    def ask(
        self, method: str, key: str = "", query: Mapping[str, str] | None = None, *, now: datetime
    ) -> Answer:
        """Send a request without a body; raises `DestinationFailed` when nobody answers."""
        parts = urlsplit(self.endpoint)
        path = quote(f"{parts.path.rstrip('/')}/{self.bucket}" + (f"/{key}" if key else ""))
        line = urlencode(sorted((query or {}).items()), quote_via=quote, safe="")
        headers = self._signed(method, parts.netloc, path, line, now=now)
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(parts.netloc, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, f"{path}?{line}" if line else path, headers=headers)
            found = connection.getresponse()
            text = found.read(MAX_ANSWER_BYTES).decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise DestinationFailed(
                f"{parts.netloc} did not answer ({error}); check that the store is reachable."
            ) from error
        finally:
            connection.close()
        return Answer(found.status, {n.lower(): v for n, v in found.getheaders()}, text)

    def _signed(
        self, method: str, host: str, path: str, line: str, *, now: datetime
    ) -> dict[str, str]:
        moment = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        headers = {"host": host, "x-amz-content-sha256": EMPTY, "x-amz-date": moment}
        names = ";".join(headers)
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        request = f"{method}\n{path}\n{line}\n{lines}\n{names}\n{EMPTY}"
        scope = f"{moment[:8]}/{self.region}/s3/aws4_request"
        digest = hashlib.sha256(request.encode()).hexdigest()
        key = b"AWS4" + self.secret_access_key.encode()
        for step in (*scope.split("/"), f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}"):
            key = hmac.digest(key, step.encode(), "sha256")
        who = f"AWS4-HMAC-SHA256 Credential={self.access_key_id}/{scope}"
        return {**headers, "authorization": f"{who}, SignedHeaders={names}, Signature={key.hex()}"}
