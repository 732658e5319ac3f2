"""The command's verbs: its own, and those that an installed server adds."""

import gc
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points

import typer

from . import (
    alerts,
    audit,
    backup,
    checks,
    configuration,
    doctor,
    imports,
    keys,
    link,
    maintenance,
    restore,
    run,
    sync,
    upload,
    vulnerabilities,
)

GROUP = "mainstay.commands"
# Here, since asking the server's own functions would load it, which takes a second.
SERVER_VERBS = {
    "up": "Start the server: everything in this one process.",
    "serve": "Start the server in some of its roles: web, worker, probe.",
    "migrate": "Bring the server's database up to date.",
    "probe": "Ask health checks from this machine for a server elsewhere.",
}

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Mainstay: production readiness for every app, proven by live evidence.",
)
app.command("apply")(configuration.apply)
app.command("doctor")(doctor.doctor)
app.command("export")(configuration.export)
app.command("link")(link.link)
app.command("restore")(restore.restore)
app.command("run", context_settings={"allow_extra_args": True})(run.run)
app.command("sync")(sync.sync)
app.add_typer(alerts.app, name="alerts")
app.add_typer(imports.app, name="import")
app.add_typer(keys.app, name="keys")
app.add_typer(audit.app, name="audit")
app.add_typer(backup.app, name="backup")
app.add_typer(checks.app, name="checks")
app.add_typer(maintenance.app, name="maintenance")
app.add_typer(vulnerabilities.app, name="vulnerabilities")
app.add_typer(upload.app, name="upload")


@app.callback()
def main() -> None:
    """Make an app ready for production, and prove it."""


def _hand_over(entry: EntryPoint) -> Callable[[typer.Context], None]:
    """A verb of the server, loaded only when it is used: client verbs should not wait for it."""

    def verb(context: typer.Context) -> None:
        # Collecting while a server loads costs a fifth of its start and finds nothing: all of it
        # stays. The server collects again once it has started.
        gc.disable()
        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        alone.command(entry.name)(entry.load())
        alone(args=context.args, prog_name=f"mainstay {entry.name}")

    return verb


for _entry in entry_points(group=GROUP):
    app.command(
        _entry.name,
        help=SERVER_VERBS.get(_entry.name, "Part of the server; --help tells more."),
        add_help_option=False,
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )(_hand_over(_entry))
