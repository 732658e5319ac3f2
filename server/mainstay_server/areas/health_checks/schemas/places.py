"""Places in a config: `{{name}}`, where a secret or a variable is filled in, and never shown."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Annotated
from urllib.parse import quote, quote_plus

from pydantic import Field, SecretStr

from .orders import Secret

SHORTEST_SECRET = 4
HIDDEN = "•••"
# What a path or query keeps as it is (RFC 3986, 3.3).
KEPT_IN_URLS = "!$&'()*+,;=:@/?"
PLACE = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]{0,49})\s*\}\}")

Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,49}$")]
Secrets = Annotated[dict[Variable, Secret | None], Field(max_length=50)]


class NotFilled(Exception):
    """A place names a variable that nothing was put into."""


def filled(text: str, values: Mapping[str, str]) -> str:
    """The text with each `{{name}}` replaced, once: what comes in is not looked at again.

    Raises `NotFilled` with the name that has no value.
    """

    def value_of(place: re.Match[str]) -> str:
        if place.group(1) not in values:
            raise NotFilled(place.group(1))
        return values[place.group(1)]

    return PLACE.sub(value_of, text)


def places_in(text: str) -> set[str]:
    """The names that a text waits for."""
    return set(PLACE.findall(text))


def without(text: str, secrets: Iterable[str]) -> str:
    """The text with every secret in it hidden, also as it stands in a URL, a form or JSON.

    The longest comes first, for one may hold another.
    """
    long = [secret for secret in secrets if len(secret) >= SHORTEST_SECRET]
    forms = {form for secret in long for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, HIDDEN)
    return text


def _forms(secret: str) -> Iterable[str]:
    yield secret
    yield quote(secret, safe="")
    yield quote(secret, safe=KEPT_IN_URLS)
    yield quote_plus(secret)
    yield json.dumps(secret)[1:-1]


def opened(secrets: Mapping[str, SecretStr | None]) -> dict[str, str]:
    """Secrets as they are filled in."""
    return {name: secret.get_secret_value() for name, secret in secrets.items() if secret}
