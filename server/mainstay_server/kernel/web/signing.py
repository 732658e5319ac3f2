"""Signed values: what leaves in a cookie or link and must come back unchanged and in time."""

from itsdangerous import BadSignature, URLSafeTimedSerializer

from mainstay_server.kernel.settings import secret_key


def sign(value: object, *, purpose: str) -> str:
    """A URL-safe text of a JSON value that only this server can have made, for one purpose."""
    return str(_signer(purpose).dumps(value))


def unsign(text: str, *, purpose: str, max_age_seconds: int) -> object | None:
    """The value that was signed; None when changed, too old or made for another purpose."""
    try:
        value: object = _signer(purpose).loads(text, max_age=max_age_seconds)
    except BadSignature:
        return None
    return value


def _signer(purpose: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(secret_key(), salt=purpose)
