"""Speaking to a Mainstay server: where it is, who asks, and refusals in words."""

import os
from typing import Any, NoReturn

import httpx2 as httpx
import typer
from rich.console import Console

TIMEOUT_SECONDS = 30
EXIT_REFUSED = 2
errors = Console(stderr=True)


class Server:
    """One server and the access token to open it with."""

    def __init__(self, url: str, token: str) -> None:
        self._http = httpx.Client(
            base_url=url.rstrip("/"),
            headers={"authorization": f"Bearer {token}", "accept": "application/json"},
            timeout=TIMEOUT_SECONDS,
        )

    def get(self, path: str, **params: str) -> Any:  # noqa: ANN401 - whatever the path answers
        """The JSON of a path. Ends the command with exit code 2 and the reason when refused."""
        try:
            answer = self._http.get(path, params=params)
        except httpx.HTTPError as error:
            give_up(f"The server at {self._http.base_url} does not answer: {error}")
        if not answer.is_success:
            give_up(_reason(answer))
        return answer.json()


def server_of(url: str, token: str) -> Server:
    """The server named by the options or by MAINSTAY_URL and MAINSTAY_TOKEN."""
    found = url or os.environ.get("MAINSTAY_URL", "http://127.0.0.1:8000")
    secret = token or os.environ.get("MAINSTAY_TOKEN", "")
    if not secret:
        give_up("Set MAINSTAY_TOKEN to an access token; make one under Your account in Mainstay.")
    return Server(found, secret)


def give_up(reason: str) -> NoReturn:
    """Say why on standard error and end with exit code 2."""
    errors.print(reason, style="red", highlight=False, soft_wrap=True)
    raise typer.Exit(EXIT_REFUSED)


def _reason(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"The server answered {answer.status_code}, which this command does not understand."
