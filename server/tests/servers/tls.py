"""Certificates that nobody but a test trusts."""

import ssl

import trustme


def server_tls(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """What a server of these names shows; those who trust the authority believe it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context
