"""Keys of objects: what one may be called, and whose it is."""

import re
import unicodedata

from mainstay_server.areas.storage.models import LONGEST_KEY
from mainstay_server.kernel.problems import Invalid

OWNER_DEPTH = 3
LONGEST_LABEL = 190
HIGHEST = 0x10FFFF
SURROGATES = range(0xD800, 0xE000)
CONTENT_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*(;[ -~]*)?")
SHA256 = re.compile(r"[0-9a-f]{64}")


def clean_key(text: str) -> str:
    """A key in its one form (NFC): folders and a name with single slashes between.

    Raises:
        Invalid: it is empty, too long, has a folder `..`, or a character nobody can see.
    """
    key = unicodedata.normalize("NFC", text)
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise Invalid("A key must be text in UTF-8.") from None
    if not 1 <= size <= LONGEST_KEY:
        raise Invalid(f"A key has 1 to {LONGEST_KEY} bytes in UTF-8; this one has {size}.")
    if not key.isprintable() or "\\" in key:
        raise Invalid("A key has no control characters, line ends or backslashes; rename the file.")
    for segment in key.split("/"):
        if segment in ("", ".", ".."):
            raise Invalid(
                "A key has a name at its end and single slashes between its folders, and no folder"
                " is called . or ..; write it like acme/reports/2026.pdf."
            )
    return key


def clean_prefix(text: str) -> str:
    """The beginning of keys, as somebody looks for them; "" is all of them."""
    prefix = unicodedata.normalize("NFC", text)
    if len(prefix.encode(errors="replace")) > LONGEST_KEY or "\0" in prefix:
        raise Invalid(f"A prefix has at most {LONGEST_KEY} bytes, and no NUL.")
    return prefix


def key_of(organization: str, product: str, person: str, filename: str) -> str:
    """The key of a file in the layout `organization/product/person/filename`."""
    labels = (organization, product, person)
    for label in labels:
        if "/" in label or len(label.encode(errors="replace")) > LONGEST_LABEL:
            raise Invalid(f"{label[:40]!r} has a slash in it, or over {LONGEST_LABEL} bytes.")
    return clean_key("/".join((*labels, filename)))


def owners_of(key: str) -> list[str]:
    """Who a key counts for: "" (the bucket), and the folders it begins with, three at most."""
    folders = key.split("/")[:-1][:OWNER_DEPTH]
    owners = ["/".join(folders[: depth + 1]) for depth in range(len(folders))]
    return ["", *(owner for owner in owners if len(owner) <= OWNER_DEPTH * LONGEST_LABEL)]


def clean_owner(text: str) -> str:
    """An owner as quotas name it: one to three folders. Raises `Invalid`."""
    owner = clean_key(text.strip("/"))
    if owner.count("/") >= OWNER_DEPTH or len(owner) > OWNER_DEPTH * LONGEST_LABEL:
        raise Invalid("An owner is one to three folders, such as acme or acme/insight/ann.")
    return owner


def after_all_with(prefix: str) -> str | None:
    """The least text that is greater than all that begin so; None when there is none."""
    for end in range(len(prefix) - 1, -1, -1):
        following = ord(prefix[end]) + 1
        if following in SURROGATES:
            following = SURROGATES.stop
        if following <= HIGHEST:
            return prefix[:end] + chr(following)
    return None


def clean_content_type(text: str) -> str:
    """A content type in lower case; "" is bytes of no type. Raises `Invalid`."""
    given = text.strip()
    kind, separator, parameters = given.partition(";")
    clean = f"{kind.strip().lower()}{separator}{parameters}" or "application/octet-stream"
    if len(clean) > LONGEST_LABEL or not CONTENT_TYPE.fullmatch(clean):
        raise Invalid(f"{given[:60]!r} is no content type; write it like application/pdf.")
    return clean


def is_allowed_type(content_type: str, allowed: list[str]) -> bool:
    """Whether a bucket takes it: `image/*` stands for all images, an empty list for everything."""
    kind = content_type.partition(";")[0].strip()
    wide = f"{kind.partition('/')[0]}/*"
    return not allowed or kind in allowed or wide in allowed


def clean_sha256(text: str) -> str:
    """A digest in lower case hexadecimal, or "". Raises `Invalid`."""
    digest = text.strip().lower()
    if digest and not SHA256.fullmatch(digest):
        raise Invalid("sha256 is 64 hexadecimal digits, as sha256sum prints them.")
    return digest
