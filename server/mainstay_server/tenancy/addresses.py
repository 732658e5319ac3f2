"""Where the server is reached from outside: the base of links and DSNs."""

from urllib.parse import urlsplit, urlunsplit

from starlette.requests import Request

from mainstay_server.kernel.settings import ServerSettings, of


def base_url(request: Request) -> str:
    """The address that people and SDKs use, without a slash at its end.

    The setting counts; without it, the address by which this very request came.
    """
    return (of(ServerSettings).base_url or str(request.base_url)).rstrip("/")


def dsn(base: str, key: str, number: int) -> str:
    """What an SDK is given: `{scheme}://{key}@{host}{/path}/{number}`; empty without a key."""
    if not key:
        return ""
    parts = urlsplit(base)
    path = f"{parts.path.rstrip('/')}/{number}"
    return urlunsplit((parts.scheme, f"{key}@{parts.netloc}", path, "", ""))
