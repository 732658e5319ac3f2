"""The only way out of the process: every HTTP call and every mail passes its address check."""

from mainstay_server.kernel.outbound.cookies import CookieJar
from mainstay_server.kernel.outbound.dialing import (
    Datagrams,
    Wire,
    addresses_of,
    dial,
    dial_socket,
    dial_udp,
    tls_context,
)
from mainstay_server.kernel.outbound.errors import Kind, MailRefused, OutboundError
from mainstay_server.kernel.outbound.fetching import (
    FetchOptions,
    Response,
    Timings,
    check_host_blocking,
    fetch,
    fetch_blocking,
    may_reach_private,
    refuse_forbidden_host,
)
from mainstay_server.kernel.outbound.gate import (
    close_outbound,
    close_resting_connections,
    open_outbound,
)
from mainstay_server.kernel.outbound.mail import (
    Delivered,
    MailOptions,
    send_mail,
    send_mail_blocking,
)

__all__ = [
    "CookieJar",
    "Datagrams",
    "Delivered",
    "FetchOptions",
    "Kind",
    "MailOptions",
    "MailRefused",
    "OutboundError",
    "Response",
    "Timings",
    "Wire",
    "addresses_of",
    "check_host_blocking",
    "close_outbound",
    "close_resting_connections",
    "dial",
    "dial_socket",
    "dial_udp",
    "fetch",
    "fetch_blocking",
    "may_reach_private",
    "open_outbound",
    "refuse_forbidden_host",
    "send_mail",
    "send_mail_blocking",
    "tls_context",
]
