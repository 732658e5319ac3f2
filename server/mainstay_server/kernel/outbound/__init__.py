"""The only way out of the process: every call, connection and mail passes its address check."""

from mainstay_server.kernel.outbound.cookies import CookieJar
from mainstay_server.kernel.outbound.dialing import (
    Datagrams,
    Dialed,
    Reached,
    Wire,
    authorities_file,
    dial,
    dial_socket,
    dial_udp,
    reaching,
    tls_context,
)
from mainstay_server.kernel.outbound.echoing import Echoes, ping
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
from mainstay_server.kernel.outbound.network import tls_failure
from mainstay_server.kernel.outbound.upgrading import begin_tls, read_reply

__all__ = [
    "CookieJar",
    "Datagrams",
    "Delivered",
    "Dialed",
    "Echoes",
    "FetchOptions",
    "Kind",
    "MailOptions",
    "MailRefused",
    "OutboundError",
    "Reached",
    "Response",
    "Timings",
    "Wire",
    "authorities_file",
    "begin_tls",
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
    "ping",
    "reaching",
    "read_reply",
    "refuse_forbidden_host",
    "send_mail",
    "send_mail_blocking",
    "tls_context",
    "tls_failure",
]
