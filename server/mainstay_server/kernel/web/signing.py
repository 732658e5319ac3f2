"""Signed values: what leaves in a cookie or link and must come back unchanged and in time."""

from itsdangerous import BadSignature, URLSafeSerializer, URLSafeTimedSerializer

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


def sign_for_good(value: object, *, purpose: str) -> str:
    """A signed text of a value that is the same whenever it is made, and never too old."""
    return str(_timeless(purpose).dumps(value))


def unsign_for_good(text: str, *, purpose: str) -> object | None:
    """The value that was signed for good; None when changed or made for another purpose."""
    try:
        value: object = _timeless(purpose).loads(text)
    except BadSignature:
        return None
    return value


def _timeless(purpose: str) -> URLSafeSerializer:
    return URLSafeSerializer(secret_key(), salt=purpose)


def _signer(purpose: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(secret_key(), salt=purpose)
