"""The cookie of a sign-in session."""

from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.tenancy.access import SESSION_COOKIE, is_secure
from mainstay_server.tenancy.service.sessions import LASTS


def set_session_cookie(answer: Response, token: str) -> None:
    """Let the browser carry the session for 30 days; scripts and other sites never see it."""
    answer.set_cookie(
        SESSION_COOKIE,
        token,
        max_age=int(LASTS.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=is_secure(),
    )


def drop_session_cookie(answer: Response) -> None:
    """Have the browser forget the session."""
    answer.delete_cookie(SESSION_COOKIE, httponly=True, samesite="lax", secure=is_secure())


def client_of(request: Request) -> dict[str, str]:
    """The address and program of whoever sends a request, as sessions keep them."""
    return {
        "address": request.client.host if request.client else "",
        "client": request.headers.get("user-agent", ""),
    }


def local_path(path: str) -> str:
    """A path on this server to go on to; the overview for anything that could lead elsewhere."""
    strange = not path.startswith("/") or path.startswith(("//", "/\\")) or "\\" in path
    return "/dashboard" if strange or any(ord(c) < ord(" ") for c in path) else path
