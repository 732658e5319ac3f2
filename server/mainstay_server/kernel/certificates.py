"""Certificates as servers show them: whose they are, who says so, and until when."""

import ssl
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import NameOID

MOST_NAMES = 20


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """What a person wants to know of one certificate.

    `names` are the hosts it speaks for, at most 20. `serial` is in hexadecimal.
    """

    subject: str
    issuer: str
    names: tuple[str, ...]
    begins_at: datetime
    ends_at: datetime
    serial: str
    is_self_signed: bool


def read(der: bytes) -> Certificate:
    """Read one certificate; raises ValueError when it is none."""
    found = x509.load_der_x509_certificate(der)
    return Certificate(
        subject=_name_of(found.subject),
        issuer=_name_of(found.issuer),
        names=_hosts_of(found),
        begins_at=found.not_valid_before_utc,
        ends_at=found.not_valid_after_utc,
        serial=f"{found.serial_number:x}",
        is_self_signed=found.subject == found.issuer,
    )


def find(der: bytes | None) -> Certificate | None:
    """What `read` gives; None for none, and for one that OpenSSL takes and nobody can read."""
    if not der:
        return None
    try:
        return read(der)
    except _UNREADABLE:
        return None


_UNREADABLE = (
    ValueError,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


def ends_at(der: bytes | None) -> dict[str, float]:
    """When it ends, as the fact that is kept of an answer; nothing where there is none."""
    found = find(der)
    return {} if found is None else {"certificate_ends_at": found.ends_at.timestamp()}


def _name_of(name: x509.Name) -> str:
    for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME):
        for attribute in name.get_attributes_for_oid(oid):
            return str(attribute.value)[:200]
    return name.rfc4514_string()[:200]


def _hosts_of(found: x509.Certificate) -> tuple[str, ...]:
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    hosts = [
        *names.get_values_for_type(x509.DNSName),
        *(str(address) for address in names.get_values_for_type(x509.IPAddress)),
    ]
    return tuple(hosts[:MOST_NAMES])


def chain_of(session: ssl.SSLObject) -> list[bytes]:
    """The certificates that the other side showed, its own first, whether or not trusted."""
    show = getattr(session, "get_unverified_chain", None)
    if show is not None:  # Python 3.13
        return list(show())
    inner = session._sslobj  # type: ignore[attr-defined]  # noqa: SLF001 - older ones keep it inside
    return [ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in inner.get_unverified_chain()]
