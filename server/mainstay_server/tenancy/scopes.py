"""Scopes of access tokens, in the words that sentry-cli and its users already know."""

from enum import StrEnum
from typing import Literal

from .models import Role


class Scope(StrEnum):
    """What an access token may be used for, within its person's role."""

    ORG_READ = "org:read"
    ORG_WRITE = "org:write"
    PROJECT_READ = "project:read"
    PROJECT_WRITE = "project:write"
    PROJECT_RELEASES = "project:releases"

    @classmethod
    def needed_for(cls, role: Role, about: Literal["org", "project"]) -> "Scope":
        """The scope for what a role may do: viewers read, everyone above also writes."""
        return cls(f"{about}:{'read' if role is Role.VIEWER else 'write'}")


def covers(scopes: list[str], needed: Scope) -> bool:
    """Whether scopes allow what is needed; writing includes reading of the same thing."""
    about, verb = needed.split(":")
    return needed in scopes or (verb == "read" and f"{about}:write" in scopes)
