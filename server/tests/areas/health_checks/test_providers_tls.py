"""The certificate check against real handshakes: each mistake is named, and renewal is seen."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from tempfile import NamedTemporaryFile
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from mainstay_server.kernel import outbound
from tests.areas.health_checks.worlds import ask
from tests.servers.postgres import PostgresServer
from tests.servers.processes import free_port
from tests.servers.shaking import shaking
from tests.servers.smtp import running_smtp
from tests.servers.talking import talking

DAY = timedelta(days=1)


@pytest.fixture
def authority() -> Iterator[trustme.CA]:
    made = trustme.CA()
    outbound.open_outbound(allow_private=True, ca_pem=made.cert_pem.bytes().decode())
    yield made
    outbound.close_outbound()


def showing(authority: trustme.CA, *names: str, until: datetime | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, not_after=until).configure_cert(context)
    return context


def of(port: int, **more: Any) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": port, **more}


def test_a_trusted_certificate_is_healthy_and_its_end_known(authority: trustme.CA) -> None:
    ends_at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=36)
    with shaking(showing(authority, "127.0.0.1", until=ends_at)) as server:
        result = ask("tls", of(server.port), conditions=["[CERTIFICATE_EXPIRATION] > 35h"])
        short = ask("tls", of(server.port), conditions=["[CERTIFICATE_EXPIRATION] > 48h"])

    assert (result.state, result.reason) == ("healthy", "")
    assert result.facts["certificate_ends_at"] == ends_at.timestamp()
    assert result.facts["tls_version"] == "TLSv1.3"
    assert short.reason in (
        "[CERTIFICATE_EXPIRATION] (1d11h) > 48h",
        "[CERTIFICATE_EXPIRATION] (1d12h) > 48h",
    )


def test_a_certificate_rotated_live_is_seen_at_the_next_look(authority: trustme.CA) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    with shaking(showing(authority, "127.0.0.1", until=now + timedelta(hours=36))) as server:
        before = ask("tls", of(server.port)).facts
        server.show(showing(authority, "127.0.0.1", until=now + 90 * DAY))
        after = ask("tls", of(server.port)).facts

    assert after["certificate_ends_at"] == (now + 90 * DAY).timestamp()
    assert before["certificate_serial"] != after["certificate_serial"]


def test_a_certificate_of_another_name_is_told_with_both(authority: trustme.CA) -> None:
    with shaking(showing(authority, "shop.example", "www.shop.example")) as server:
        wrong = ask("tls", of(server.port))
        right = ask("tls", of(server.port, serverName="www.shop.example"))

    assert (
        wrong.reason == "the certificate is for shop.example, www.shop.example, not for 127.0.0.1"
    )
    assert wrong.facts["certificate_subject"]
    assert right.state == "healthy"


def test_an_expired_certificate_is_told_with_its_day(authority: trustme.CA) -> None:
    ended = datetime.now(UTC) - 2 * DAY
    with shaking(showing(authority, "127.0.0.1", until=ended)) as server:
        result = ask("tls", of(server.port))
        unverified = ask("tls", of(server.port, verify=False))

    assert result.reason == f"the certificate expired on {ended:%Y-%m-%d %H:%M} UTC"
    assert unverified.state == "healthy"


def test_a_self_signed_certificate_is_told_as_that(authority: trustme.CA) -> None:
    with shaking(_context([_issued("router.example", hosts=["127.0.0.1"])])) as server:
        result = ask("tls", of(server.port))

    assert result.reason == (
        "the certificate of router.example is self-signed: no authority vouches for it"
    )


def test_an_authority_that_nobody_trusts_and_a_missing_intermediate_are_named(
    authority: trustme.CA,
) -> None:
    stranger = _issued("Unknown Root", is_authority=True)
    middle = _issued("Middle CA", by=stranger, is_authority=True)
    own = _issued("shop", by=middle, hosts=["127.0.0.1"])
    with shaking(_context([own, middle, stranger])) as server:
        untrusted = ask("tls", of(server.port))
    with shaking(_context([own])) as server:
        incomplete = ask("tls", of(server.port))

    assert untrusted.reason == "the authority Unknown Root is not trusted"
    assert incomplete.reason.startswith("the chain ends at shop: the intermediate Middle CA is")


def test_an_expired_intermediate_is_named() -> None:
    root = _issued("Our Root", is_authority=True)
    ended = datetime.now(UTC) - DAY
    middle = _issued("Old Middle", by=root, is_authority=True, until=ended)
    own = _issued("shop", by=middle, hosts=["127.0.0.1"])
    outbound.open_outbound(allow_private=True, ca_pem=_pem(root[0]).decode())
    try:
        with shaking(_context([own, middle])) as server:
            result = ask("tls", of(server.port))
    finally:
        outbound.close_outbound()

    assert result.reason == f"the intermediate Old Middle expired on {ended:%Y-%m-%d %H:%M} UTC"


@pytest.mark.parametrize(
    ("protocol", "says", "answers"),
    [
        ("imap", b"* OK ready\r\n", {b"a STARTTLS\r\n": b"a OK begin\r\n"}),
        ("pop3", b"+OK ready\r\n", {b"STLS\r\n": b"+OK begin\r\n"}),
        ("ftp", b"220-hello\r\n220 ready\r\n", {b"AUTH TLS\r\n": b"234 begin\r\n"}),
        (
            "ldap",
            b"",
            {
                b"\x30\x1d\x02\x01\x01\x77\x18\x80\x16" + b"1.3.6.1.4.1.1466.20037": bytes.fromhex(
                    "300c02010178070a010004000400"
                )
            },
        ),
    ],
)
def test_tls_is_asked_for_in_the_words_of_each_protocol(
    authority: trustme.CA, protocol: str, says: bytes, answers: dict[bytes, bytes]
) -> None:
    context = showing(authority, "127.0.0.1")
    with shaking(context, first=says, answers=answers) as server:
        result = ask("tls", of(server.port, starttls=protocol))

    assert (result.state, result.reason) == ("healthy", "")
    assert result.facts["certificate_ends_at"]


def test_starttls_of_a_real_mail_server_is_looked_at(authority: trustme.CA) -> None:
    with running_smtp(tls=showing(authority, "127.0.0.1")) as mail:
        assert ask("tls", of(mail.port, starttls="smtp")).state == "healthy"
    with running_smtp() as plain:
        refused = ask("tls", of(plain.port, starttls="smtp"))

    assert refused.state == "unhealthy"
    assert "does not begin TLS" in refused.reason


@pytest.mark.slow
def test_a_real_postgres_without_tls_is_told_as_that(
    authority: trustme.CA, postgres: PostgresServer
) -> None:
    result = ask("tls", of(postgres.port, starttls="postgres"))

    assert result.reason.endswith("does not begin TLS: its configuration has ssl = off")


def test_what_is_sent_before_tls_begins_is_not_taken_for_protected(authority: trustme.CA) -> None:
    answers = {b"STLS\r\n": b"+OK begin\r\n+OK injected\r\n"}
    with talking([b"+OK ready\r\n"], answers=answers) as port:
        result = ask("tls", of(port, starttls="pop3"))

    assert "sent more before TLS began" in result.reason


def test_a_closed_port_a_silent_one_and_one_without_tls_are_down(authority: trustme.CA) -> None:
    closed = ask("tls", of(free_port()))
    with talking([]) as port:
        silent = ask("tls", of(port), timeout_seconds=1)
    with talking([b"SSH-2.0-OpenSSH_9\r\n"]) as port:
        plain = ask("tls", of(port))

    assert closed.reason == "connection refused"
    assert silent.reason == "no answer within 1 s"
    assert "did not complete the TLS handshake" in plain.reason


Issued = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def _issued(
    name: str,
    *,
    by: Issued | None = None,
    hosts: list[str] | None = None,
    is_authority: bool = False,
    until: datetime | None = None,
) -> Issued:
    """A certificate, by itself or by another; what trustme does not make: chains with a fault."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = (subject, key) if by is None else (by[0].subject, by[1])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer[0])
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - 30 * DAY)
        .not_valid_after(until or datetime.now(UTC) + 30 * DAY)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer[1].public_key()),
            critical=False,
        )
    )
    if hosts:
        addresses = [x509.IPAddress(ip_address(host)) for host in hosts]
        made = made.add_extension(x509.SubjectAlternativeName(addresses), critical=False)
    return made.sign(signer[1], hashes.SHA256()), key


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _context(chain: list[Issued]) -> ssl.SSLContext:
    key = chain[0][1].private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with NamedTemporaryFile() as file:
        file.write(key + b"".join(_pem(certificate) for certificate, _ in chain))
        file.flush()
        context.load_cert_chain(file.name)
    return context
