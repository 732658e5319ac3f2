"""Speaking to a Mainstay server: where it is, who asks, about what, and refusals in words."""

import os
from typing import Annotated, Any, NoReturn
from urllib.parse import quote

import httpx2 as httpx
import typer
from rich.console import Console

Project = Annotated[str, typer.Option(help="The project's slug.")]
Environment = Annotated[str, typer.Option(help="Which instance.")]
Url = Annotated[str, typer.Option(help="The server; MAINSTAY_URL.")]
Token = Annotated[str, typer.Option(help="An access token; MAINSTAY_TOKEN.")]
AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]

TIMEOUT_SECONDS = 30
EXIT_REFUSED = 2
OTHER = "make another under Your account in Mainstay, and set MAINSTAY_TOKEN."
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
        return _json_of(self._ask("GET", path, params=params))

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


def give_up(reason: str) -> NoReturn:
    """Say why on standard error and end with exit code 2."""
    errors.print(reason, style="red", highlight=False, soft_wrap=True)
    raise typer.Exit(EXIT_REFUSED)


def _reason(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"The server answered {answer.status_code}, which this command does not understand."
