"""Addresses of people, as mail servers take them."""

import re
from email.errors import MessageError
from email.headerregistry import Address

from mainstay_server.kernel.problems import Invalid

LONGEST_ADDRESS = 254
LONGEST_LOCAL = 64
_ADDRESS = re.compile(r"([^\s@,;:<>()\[\]\"\\]+)@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)")


def checked_address(address: str, *, field: str) -> str:
    """One address, as it was given but for spaces around it. Raises `Invalid` for what is none."""
    address = address.strip()
    found = _ADDRESS.fullmatch(address)
    short = len(address) <= LONGEST_ADDRESS and found and len(found[1]) <= LONGEST_LOCAL
    if not short or not address.isascii() or not address.isprintable() or not _writable(address):
        raise Invalid.of_field(field, f"{field} must be an address such as ann@example.com.")
    return address


def _writable(address: str) -> bool:
    """Whether a mail to it can be written: `a..b@example.com` looks like an address and is none."""
    try:
        Address(addr_spec=address)
    except (ValueError, IndexError, MessageError):
        return False
    return True


def folded(address: str) -> str:
    """An address as suppressions are kept under: mailboxes that tell cases apart are unheard of."""
    return address.strip().lower()
