"""Secrets that we issue: long, random, told from a typing mistake without asking anybody."""

import secrets
import string
import zlib

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
RANDOM_CHARACTERS = 32  # 190 bits
CHECKSUM_CHARACTERS = 6


def new_credential(prefix: str) -> str:
    """A secret of the form `<prefix><32 base62><6 base62>`; the last six are its checksum.

    The shape is GitHub's, so that secret scanners recognise one that leaked.
    """
    head = prefix + "".join(secrets.choice(BASE62) for _ in range(RANDOM_CHARACTERS))
    return head + checksum(head)


def is_well_formed(credential: str, prefix: str) -> bool:
    """Whether it can be one of ours at all; a mistyped or invented one fails without a look-up."""
    random = credential[len(prefix) : -CHECKSUM_CHARACTERS]
    return (
        credential.startswith(prefix)
        and len(random) == RANDOM_CHARACTERS
        and credential.isascii()
        and random.isalnum()
        and credential.endswith(checksum(credential[:-CHECKSUM_CHARACTERS]))
    )


def checksum(text: str) -> str:
    """The CRC-32 of a text as six base62 digits, the most significant first."""
    number, digits = zlib.crc32(text.encode()), ""
    for _ in range(CHECKSUM_CHARACTERS):
        number, digit = divmod(number, len(BASE62))
        digits = BASE62[digit] + digits
    return digits
