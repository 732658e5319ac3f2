"""Trying a target: does it answer, by which version, and are our tools new enough for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mainstay_server.areas.backups.providers import ENGINES
from mainstay_server.areas.backups.schemas import EngineFailed
from mainstay_server.kernel.problems import Invalid, Problem

from .choosing import checked_config
from .reaching import reached


@dataclass(frozen=True)
class Answered:
    """What a target said of itself; `problem` is why it cannot be backed up as it is, or ""."""

    shown: str
    server: str = ""
    tools: str = ""
    problem: str = ""


def try_config(engine: str, config: Mapping[str, Any]) -> Answered:
    """Ask a target that somebody is about to set up.

    It takes as long as the target takes to answer: call it outside of a transaction. Raises
    `Invalid` when the config cannot be.
    """
    if engine not in ENGINES:
        raise Invalid(f"The engine must be one of {', '.join(ENGINES)}.")
    return try_kept(engine, checked_config(engine, config))


def try_kept(engine: str, config: Mapping[str, Any]) -> Answered:
    """Ask a target by what is kept of its config; whatever is wrong is told and not raised."""
    shown = ENGINES[engine].shown(config)
    try:
        versions = ENGINES[engine].find_versions(reached(config))
    except (Problem, EngineFailed) as error:
        text = error.detail if isinstance(error, Problem) else str(error)
        return Answered(shown, problem=text)
    return Answered(shown, server=versions.server, tools=versions.tools)
