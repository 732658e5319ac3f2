"""Signed requests (AWS Signature Version 4), each to the endpoint itself and nowhere else.

obstore follows redirects and puts what it finds there into its errors: an endpoint of somebody's
own could read this machine's neighbours by it. Nothing here follows any.
"""

import hashlib
import http.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote, urlencode, urlsplit

from mainstay_server.kernel.copies.destinations import DestinationFailed
from mainstay_server.kernel.presigning import ALGORITHM, moment_of, signature_of

TIMEOUT_SECONDS = 30.0
MAX_ANSWER_BYTES = 8 << 20  # a thousand uploads or keys take far less


class Away(DestinationFailed):
    """Nobody answered, or the line broke: another try may do."""


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
        self,
        method: str,
        key: str = "",
        query: Mapping[str, str] | None = None,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        now: datetime,
    ) -> Answer:
        """Send a small request and read its answer; redirects are answers, and lead nowhere.

        Raises `DestinationFailed` when nobody answers.
        """
        with self.asking(method, key, query, body=body, headers=headers, now=now) as found:
            with self._told():
                text = found.read(MAX_ANSWER_BYTES).decode(errors="replace")
            return Answer(found.status, {n.lower(): v for n, v in found.getheaders()}, text)

    @contextmanager
    def asking(
        self,
        method: str,
        key: str = "",
        query: Mapping[str, str] | None = None,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        now: datetime,
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request, and give its answer while the block lasts; raises as `ask` does."""
        parts = urlsplit(self.endpoint)
        path = quote(f"{parts.path.rstrip('/')}/{self.bucket}" + (f"/{key}" if key else ""))
        line = urlencode(sorted((query or {}).items()), quote_via=quote, safe="")
        signed = self._signed(method, parts.netloc, path, line, body or b"", now=now)
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(parts.netloc, timeout=TIMEOUT_SECONDS)
        try:
            with self._told():
                target = f"{path}?{line}" if line else path
                connection.request(method, target, body=body, headers={**signed, **(headers or {})})
                answer = connection.getresponse()
            yield answer
        finally:
            connection.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            raise Away(
                f"The store did not answer as it should ({error}); check that it is reachable."
            ) from error

    def _signed(
        self, method: str, host: str, path: str, line: str, body: bytes, *, now: datetime
    ) -> dict[str, str]:
        moment = moment_of(now)
        content = hashlib.sha256(body).hexdigest()
        headers = {"host": host, "x-amz-content-sha256": content, "x-amz-date": moment}
        names = ";".join(headers)
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        request = f"{method}\n{path}\n{line}\n{lines}\n{names}\n{content}"
        scope = f"{moment[:8]}/{self.region}/s3/aws4_request"
        digest = hashlib.sha256(request.encode()).hexdigest()
        text = f"{ALGORITHM}\n{moment}\n{scope}\n{digest}"
        signature = signature_of(self.secret_access_key, scope, text)
        who = f"{ALGORITHM} Credential={self.access_key_id}/{scope}"
        return {**headers, "authorization": f"{who}, SignedHeaders={names}, Signature={signature}"}
