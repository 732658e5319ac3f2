"""The command's verbs: its own, and those that an installed server adds."""

from importlib.metadata import EntryPoint, entry_points

import click
import typer
from typer.core import TyperGroup
from typing_extensions import override

from . import doctor

GROUP = "mainstay.commands"


class Verbs(TyperGroup):
    """Loads a server's verb only when it is used: a client verb should not wait for the server."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_added()})

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        added = _added().get(cmd_name)
        return None if added is None else _command(added)


app = typer.Typer(
    cls=Verbs,
    no_args_is_help=True,
    help="Mainstay: production readiness for every app, proven by live evidence.",
)
app.command("doctor")(doctor.doctor)


@app.callback()
def main() -> None:
    """Make an app ready for production, and prove it."""


def _added() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _command(entry: EntryPoint) -> click.Command:
    alone = typer.Typer()
    alone.command(entry.name)(entry.load())
    return typer.main.get_command(alone)
