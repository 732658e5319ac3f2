"""Fields that people fill in: cleaned, or refused by name with the next step."""

import re
import unicodedata
import uuid
from urllib.parse import urlsplit

from mainstay_server.kernel.problems import Invalid

LONGEST_NAME = 100
LONGEST_EMAIL = 254
LONGEST_SLUG = 60
LONGEST_URL = 2000
LONGEST_PATH = 500

_EMAIL = re.compile(r"[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+")
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")


def invalid(field: str, reason: str) -> Invalid:
    """The refusal of one field; `reason` follows its name and ends with the next step."""
    return Invalid(f"{field} {reason}.", errors=[{"field": field, "message": reason}])


def clean_name(name: str, *, field: str = "name") -> str:
    """A name of 1 to 100 characters on one line."""
    clean = " ".join(name.split())
    if not 1 <= len(clean) <= LONGEST_NAME:
        raise invalid(field, f"must have 1 to {LONGEST_NAME} characters; shorten or fill it in")
    return clean


def clean_email(email: str) -> str:
    """An address in lower case; that it exists is shown only by mail arriving there."""
    clean = email.strip().lower()
    if len(clean) > LONGEST_EMAIL or not _EMAIL.fullmatch(clean):
        raise invalid("email", "is not an e-mail address; write it as name@host")
    return clean


def clean_slug(slug: str) -> str:
    """A slug as given: lower-case letters, digits and inner hyphens, and nothing like an id."""
    if len(slug) > LONGEST_SLUG or not _SLUG.fullmatch(slug) or _is_id(slug):
        raise invalid(
            "slug",
            f"must be 1 to {LONGEST_SLUG} lower-case letters, digits or inner hyphens; change it"
            " or leave it out",
        )
    return slug


def derived_slug(name: str) -> str:
    """A slug made of a name: `Über Ships!` becomes `uber-ships`; `project` when nothing is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain)[: LONGEST_SLUG - 6].strip("-")
    return slug if slug and not _is_id(slug) else "project"


def clean_url(url: str, *, field: str = "url") -> str:
    """An http or https URL without credentials and fragment; empty stays empty."""
    clean = url.strip()
    if not clean:
        return ""
    try:
        parts = urlsplit(clean)
        _ = parts.port
    except ValueError:
        raise invalid(field, "is not a URL; write it as https://app.example") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise invalid(field, "must begin with http:// or https:// and name a host; correct it")
    if parts.username is not None or parts.password is not None:
        raise invalid(field, "must not carry credentials; remove what stands before the @")
    if parts.fragment or len(clean) > LONGEST_URL or re.search(r"[\s\x00-\x1f]", clean):
        raise invalid(
            field, f"must have no #fragment, no spaces and at most {LONGEST_URL} characters"
        )
    return clean


def clean_path(path: str, *, field: str = "healthPath") -> str:
    """A path on the instance's own host, beginning with a slash; empty stays empty."""
    clean = path.strip()
    if not clean:
        return ""
    strange = clean.startswith("//") or re.search(r"[\s\x00-\x1f#\\]", clean)
    if not clean.startswith("/") or strange or len(clean) > LONGEST_PATH:
        raise invalid(field, "must be a path such as /health; begin it with one slash")
    return clean


def within(value: int, least: int, most: int, *, field: str) -> int:
    """A number between two bounds."""
    if not least <= value <= most:
        raise invalid(field, f"must be between {least} and {most}; choose another number")
    return value


def _is_id(text: str) -> bool:
    """Whether it could be taken for a UUID, which in paths stands for a project's id."""
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
