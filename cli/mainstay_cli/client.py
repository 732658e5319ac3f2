"""Speaking to a Mainstay server: where it is, who asks, about what, and refusals in words."""

import os
import time
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn
from urllib.parse import quote

import httpx2 as httpx
import typer
from rich.console import Console

from .linking import Environment, Project

__all__ = [
    "AsJson",
    "Environment",
    "Project",
    "Server",
    "Token",
    "Url",
    "give_up",
    "plain",
    "server_of",
]

Url = Annotated[str, typer.Option(help="The server; MAINSTAY_URL.")]
Token = Annotated[str, typer.Option(help="An access token; MAINSTAY_TOKEN.")]
AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]

TIMEOUT_SECONDS = 30
MOST_TRIES = 6
LONGEST_WAIT_SECONDS = 30
FINAL = {"blobs-full"}  # asking again within a minute would not make room
EXIT_REFUSED = 2
OTHER = "make another under Your account in Mainstay, and set MAINSTAY_TOKEN."
errors = Console(stderr=True)


class Refusal(Exception):
    """The server said no. `status` is 0 when it did not answer at all; `faults` are sentences."""

    def __init__(self, status: int, code: str, reason: str, faults: Sequence[str] = ()) -> None:
        super().__init__(reason)
        self.status = status
        self.code = code
        self.faults = faults


class Server:
    """One server and the access token to open it with."""

    def __init__(self, url: str, token: str) -> None:
        self._http = httpx.Client(
            base_url=url.rstrip("/"),
            headers={"authorization": f"Bearer {token}", "accept": "application/json"},
            timeout=TIMEOUT_SECONDS,
        )

    @property
    def url(self) -> str:
        """Where it is."""
        return str(self._http.base_url).rstrip("/")

    def get(self, path: str, **params: str) -> Any:  # noqa: ANN401 - whatever the path answers
        """The JSON of a path. Ends the command with exit code 2 and the reason when refused."""
        return _json_of(self._ask("GET", path, params=params))

    def follow(self, path: str) -> Any:  # noqa: ANN401 - whatever the path answers
        """As `get`, and asked again while the server is away: for what takes its time there."""
        try:
            return _json_of(self.ask("GET", path))
        except Refusal as refusal:
            give_up(str(refusal))

    def post(self, path: str, body: object) -> Any:  # noqa: ANN401 - whatever the path answers
        """Send a JSON body; returns and refuses as `get` does."""
        return _json_of(self._ask("POST", path, json=body))

    def send(self, path: str, packed: bytes, **params: str) -> Any:  # noqa: ANN401 - whatever the path answers
        """Send bytes that are packed with gzip; returns and refuses as `get` does."""
        headers = {"content-type": "application/json", "content-encoding": "gzip"}
        return _json_of(self._ask("POST", path, content=packed, params=params, headers=headers))

    def delete(self, path: str) -> None:
        """Have what a path names removed; refuses as `get` does."""
        self._ask("DELETE", path)

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:  # noqa: ANN401 - as httpx takes them
        """The answer of a path, asked again while the server is away or asks to wait.

        For requests that may be repeated, from any thread. Raises `Refusal`.
        """
        tries = 0
        while True:
            tries += 1
            try:
                answer = self._http.request(method, path, **options)
            except httpx.HTTPError as error:
                refusal = Refusal(
                    0, "away", f"The server at {self._http.base_url} does not answer: {error}"
                )
                wait = float(tries)
            else:
                if answer.is_success:
                    return answer
                refusal = Refusal(
                    answer.status_code, _code(answer), _reason(answer), _faults(answer)
                )
                wait = _wait_seconds(answer, tries)
            if tries >= MOST_TRIES or not wait or refusal.code in FINAL:
                raise refusal
            time.sleep(min(wait, LONGEST_WAIT_SECONDS))

    def instance(self, project: str, environment: str) -> dict[str, Any]:
        """The instance of a project's environment; one that is not there is refused."""
        instances = self.get(f"/api/projects/{quote(project, safe='')}")["instances"]
        chosen: list[dict[str, Any]] = [i for i in instances if i["environment"] == environment]
        if not chosen:
            known = ", ".join(one["environment"] for one in instances)
            give_up(f"{project} has no environment {environment!r}; it has {known}.")
        return chosen[0]

    def download(self, path: str, **params: str) -> bytes:
        """The bytes of a path; refuses as `get` does."""
        return self._ask("GET", path, params=params).content

    def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:  # noqa: ANN401 - as httpx takes them
        try:
            answer = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            give_up(f"The server at {self._http.base_url} does not answer: {error}")
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            url = str(self._http.base_url).rstrip("/")
            give_up(f"{url} does not know this access token, or it has ended; {OTHER}")
        if not answer.is_success:
            give_up(_reason(answer))
        return answer


def _json_of(answer: httpx.Response) -> Any:  # noqa: ANN401 - whatever the path answers
    return answer.json() if answer.content else None


def server_of(url: str, token: str) -> Server:
    """The server named by the options or by MAINSTAY_URL and MAINSTAY_TOKEN."""
    found = url or os.environ.get("MAINSTAY_URL", "http://127.0.0.1:8000")
    secret = token or os.environ.get("MAINSTAY_TOKEN", "")
    if not secret:
        give_up("Set MAINSTAY_TOKEN to an access token; make one under Your account in Mainstay.")
    return Server(found, secret)


def plain(text: str) -> str:
    """A text of somebody else's for a terminal: what would steer that is told by its number."""
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


def give_up(reason: str) -> NoReturn:
    """Say why on standard error and end with exit code 2."""
    errors.print(plain(reason), style="red", highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(EXIT_REFUSED)


def _code(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["code"])
    except (ValueError, KeyError, TypeError):
        return ""


def _faults(answer: httpx.Response) -> Sequence[str]:
    try:
        return [str(one["message"]) for one in answer.json()["errors"]]
    except (ValueError, KeyError, TypeError):
        return ()


def _wait_seconds(answer: httpx.Response, tries: int) -> float:
    """How long to wait before asking again; 0 when that would change nothing."""
    told = answer.headers.get("retry-after", "")
    if answer.status_code in {429, 503}:
        return float(told) if told.isdigit() else float(tries)
    return float(tries) if answer.status_code in {502, 504} else 0


def _reason(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"The server answered {answer.status_code}, which this command does not understand."
