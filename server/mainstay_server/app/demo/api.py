"""The server's HTTP API as the demo calls it."""

import json
import urllib.request
from typing import Any

ANSWER_SECONDS = 10.0


class Api:
    """The server's HTTP API, for a caller that needs a few calls and no dependency."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token
        # The server is on this machine; a proxy in the environment has no business with it.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
        """Make a call and return its answer; raises `HTTPError` or, when nobody answers, others."""
        request = urllib.request.Request(  # noqa: S310 - the server's own address
            f"{self._url}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )
        with self._opener.open(request, timeout=ANSWER_SECONDS) as answer:
            return json.loads(answer.read() or b"null")
