"""Say no from inside of an app in the framework's own way, so that it logs no error."""

import sys
from typing import Any

from mainstay._internal.guard.passage import Passage
from mainstay._internal.guard.refusals import Refusal, Refused

# Whose exceptions are ordinary answers. FastAPI reads bodies itself and lets only its own through.
_QUIET = {
    "starlette": (
        ("fastapi.exceptions", "HTTPException"),
        ("starlette.exceptions", "HTTPException"),
    ),
    "flask": (("werkzeug.exceptions", "HTTPException"),),
    "django": (("django.core.exceptions", "PermissionDenied"),),
}

_kinds: dict[type[Exception], type[Refused]] = {}


def refused_in(passage: Passage, refusal: Refusal) -> Refused:
    """Return what to raise where the app asked.

    It is an exception that the framework takes for an ordinary answer; what it makes of it the
    guard replaces by the problem document.
    """
    base = _base(passage.framework())
    if base is None:
        return Refused(refusal)
    error = _kind_of(base)(refusal)
    said: dict[str, Any] = {
        "status_code": refusal.status,  # Starlette
        "detail": refusal.detail,
        "headers": None,
        "code": refusal.status,  # werkzeug
        "description": refusal.detail,
        "response": None,
    }
    vars(error).update(said)
    return error


def _kind_of(base: type[Exception]) -> type[Refused]:
    kind = _kinds.get(base)
    if kind is None:
        kind = _kinds[base] = type("Refused", (Refused, base), {"__module__": "mainstay"})
    return kind


def _base(framework: str) -> type[Exception] | None:
    for module, name in _QUIET.get(framework, ()):
        found: type[Exception] | None = getattr(sys.modules.get(module), name, None)
        if found is not None:
            return found
    return None
