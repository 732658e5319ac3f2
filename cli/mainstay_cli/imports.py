"""`mainstay import`: what another tool that watches or tells has, as a document."""

import os
from pathlib import Path
from typing import Annotated, Any, NoReturn

import httpx2 as httpx
import typer

from .client import errors, plain
from .importing.alertmanager import read_alertmanager
from .importing.blackbox import read_blackbox
from .importing.drafts import Draft, Unreadable, env_file
from .importing.gatus import read_gatus
from .importing.healthchecks import read_healthchecks
from .importing.kuma import read_kuma
from .linking import PRODUCTION

EXIT_REFUSED = 1
LARGEST_BYTES = 64 << 20
TIMEOUT_SECONDS = 60
PRIVATE = 0o600

app = typer.Typer(
    no_args_is_help=True,
    help="Make a document of what another tool has; the server is asked nothing.",
)

Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="A file; else standard output.")
]
Env = Annotated[
    Path | None,
    typer.Option("--env", help="A file for the secrets, which the document only names."),
]
Slug = Annotated[str, typer.Option("--project", help="The slug that the document is for.")]
Environment = Annotated[str, typer.Option(help="The instance that everything goes to.")]


@app.command("kuma")
def kuma(
    file: Annotated[Path, typer.Argument(help="kuma.db of Uptime Kuma, version 1 or 2.")],
    project: Slug = "",
    environment: Environment = PRODUCTION,
    output: Output = None,
    env: Env = None,
) -> None:
    """Uptime Kuma: monitors, push URLs, tags, groups, notifications and maintenance."""
    if not file.is_file():
        _give_up(f"{file} is no file.")
    _write(_made(lambda: read_kuma(file, environment=environment)), file.name, project, output, env)


@app.command("gatus")
def gatus(
    file: Annotated[Path, typer.Argument(help="config.yaml of Gatus.")],
    project: Slug = "",
    environment: Environment = PRODUCTION,
    output: Output = None,
    env: Env = None,
) -> None:
    """Gatus: endpoints with their conditions, suites, external endpoints, alerting, maintenance."""
    text = _text(file)
    _write(
        _made(lambda: read_gatus(text, environment=environment)), file.name, project, output, env
    )


@app.command("healthchecks")
def healthchecks(
    url: Annotated[str, typer.Option(help="Where it is, such as https://healthchecks.io.")],
    api_key: Annotated[
        str, typer.Option(help="An API key that may write; HEALTHCHECKS_API_KEY.")
    ] = "",
    project: Slug = "",
    environment: Environment = PRODUCTION,
    output: Output = None,
    env: Env = None,
) -> None:
    """Healthchecks: the checks of a project, with the UUIDs of their ping URLs."""
    key = api_key or os.environ.get("HEALTHCHECKS_API_KEY", "")
    if not key:
        _give_up("Give --api-key or HEALTHCHECKS_API_KEY; without a key nothing is told.")
    answer = _asked(f"{url.rstrip('/')}/api/v3/checks/", key)
    draft = _made(lambda: read_healthchecks(answer, environment=environment))
    _write(draft, url, project, output, env)


@app.command("blackbox")
def blackbox(
    file: Annotated[Path, typer.Argument(help="blackbox.yml of the exporter.")],
    prometheus: Annotated[
        Path | None, typer.Option(help="prometheus.yml, which has the targets.")
    ] = None,
    project: Slug = "",
    environment: Environment = PRODUCTION,
    output: Output = None,
    env: Env = None,
) -> None:
    """The blackbox exporter: its modules with the targets that Prometheus has it probe."""
    modules, targets = _text(file), _text(prometheus) if prometheus else ""
    draft = _made(lambda: read_blackbox(modules, targets, environment=environment))
    _write(draft, file.name, project, output, env)


@app.command("alertmanager")
def alertmanager(
    file: Annotated[Path, typer.Argument(help="alertmanager.yml.")],
    project: Slug = "",
    output: Output = None,
    env: Env = None,
) -> None:
    """Alertmanager: receivers, routes, inhibition and times at which routes are mute."""
    text = _text(file)
    draft = _made(lambda: read_alertmanager(text, folder=file.resolve().parent))
    _write(draft, file.name, project, output, env)


def _made(make: Any) -> Draft:  # noqa: ANN401 - a call without arguments
    try:
        draft: Draft = make()
    except Unreadable as error:
        _give_up(str(error))
    return draft


def _write(draft: Draft, source: str, project: str, output: Path | None, env: Path | None) -> None:
    text = draft.text(project=project, source=source)
    try:
        if output is None:
            typer.echo(text, nl=False)
        else:
            output.write_text(text)
        if env is not None:
            with open(env, "w", opener=_private) as opened:
                opened.write(env_file(draft.secrets, draft.kept_in_files))
    except OSError as error:
        _give_up(f"{error.filename} cannot be written: {error.strerror}.")
    _tell(draft, env)


def _tell(draft: Draft, env: Path | None) -> None:
    """What was found and what not, on standard error: the document may be on the other."""
    counts = [f"{len(things)} {name}" for name, things in draft.lists.items()]
    told = [f"Found: {', '.join(counts) or 'nothing'}."]
    if draft.notes:
        told += ["Look at these by hand:", *(f"  - {note}" for note in draft.notes)]
    if draft.variables and env is None:
        variables = ", ".join(draft.variables)
        told.append(f"Set when you apply it (--env FILE writes them): {variables}")
    for line in told:
        errors.print(plain(line), highlight=False, markup=False, soft_wrap=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, PRIVATE)


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > LARGEST_BYTES:
            _give_up(f"{file} is larger than {LARGEST_BYTES >> 20} MiB.")
        return file.read_text()
    except OSError as error:
        _give_up(f"{file} cannot be read: {error.strerror}.")
    except UnicodeDecodeError:
        _give_up(f"{file} is no UTF-8.")


def _asked(address: str, key: str) -> object:
    headers = {"x-api-key": key, "accept": "application/json"}
    try:
        answer = httpx.get(address, headers=headers, timeout=TIMEOUT_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        _give_up(f"{address} does not answer: {error}")
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        _give_up(f"{address} does not know this key; make one under its project's settings.")
    if not answer.is_success:
        _give_up(f"{address} answered {answer.status_code}; give the server's own address.")
    try:
        found: object = answer.json()
    except ValueError:
        _give_up(f"{address} answered no JSON; give the server's own address.")
    return found


def _give_up(reason: str) -> NoReturn:
    errors.print(plain(reason), style="red", highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(EXIT_REFUSED)
