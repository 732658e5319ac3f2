"""The one open way out: its rules, its limits and what it needs to run."""

import asyncio
import atexit
import contextlib
import functools
import shutil
import ssl
import tempfile
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import httpcore2 as httpcore
import httpx2 as httpx

from mainstay_server.kernel.outbound.network import Dialer
from mainstay_server.kernel.outbound.slots import Slots

RESOLVER_THREADS = 64
IDLE_CONNECTIONS = 64
IDLE_SECONDS = 15.0
CLOSE_SECONDS = 5.0

Result = TypeVar("Result")


class BackgroundLoop:
    """An event loop in a thread of its own, for callers that may block."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="outbound", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run the work there and wait for its result."""
        assert threading.current_thread() is not self._thread, "the loop would wait for itself"
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Cancel what runs and end the thread."""
        asyncio.run_coroutine_threadsafe(self._cancel_all(), self._loop).result(CLOSE_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_SECONDS)
        self._loop.close()

    async def _cancel_all(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


@dataclass
class Pools:
    """The resting connections of one event loop, which cannot be shared with another."""

    verified: httpcore.AsyncConnectionPool
    unverified: httpcore.AsyncConnectionPool


@dataclass
class Gate:
    """What `open_outbound` opened."""

    dialer: Dialer
    slots: Slots
    resolver: ThreadPoolExecutor
    allow_private: bool
    verified: ssl.SSLContext
    unverified: ssl.SSLContext
    ca_pem: str | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    background: BackgroundLoop | None = None
    pools: WeakKeyDictionary[asyncio.AbstractEventLoop, Pools] = field(
        default_factory=WeakKeyDictionary
    )

    def tls(self, *, verify: bool, client_pem: str = "") -> ssl.SSLContext:
        """Return the context that checks certificates, or the one that takes any.

        With `client_pem` (a certificate with its chain and its key) it shows that to the server.
        Raises `ssl.SSLError` when it is neither.
        """
        if client_pem:
            return _with_client(client_pem, self.ca_pem, verify=verify)
        return self.verified if verify else self.unverified

    def tls_speaking(self, *protocols: str, verify: bool) -> ssl.SSLContext:
        """Return what `tls` does, asking for one of these protocols as well (ALPN)."""
        return _verified(self.ca_pem, protocols) if verify else _unverified(protocols)

    def authorities_file(self) -> str:
        """Return the path of the authorities we trust, for a library that reads them itself."""
        return _authorities_file(self.verified)

    def pool(self, *, verify: bool) -> httpcore.AsyncConnectionPool:
        """Return the resting connections of the running loop."""
        loop = asyncio.get_running_loop()
        with self.lock:
            pools = self.pools.get(loop)
            if pools is None:
                pools = Pools(self._new_pool(verify=True), self._new_pool(verify=False))
                self.pools[loop] = pools
        return pools.verified if verify else pools.unverified

    def _new_pool(self, *, verify: bool) -> httpcore.AsyncConnectionPool:
        # The slots are the limit; a second one here would only make its callers wait unseen.
        return httpcore.AsyncConnectionPool(
            ssl_context=self.tls(verify=verify),
            max_connections=None,
            max_keepalive_connections=IDLE_CONNECTIONS,
            keepalive_expiry=IDLE_SECONDS,
            network_backend=self.dialer,
        )

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run the work on the background loop, from any thread that may block."""
        with self.lock:
            if self.background is None:
                self.background = BackgroundLoop()
        return self.background.run(work)

    def close(self) -> None:
        """End the background thread and its connections; other loops close their own."""
        if self.background is not None:
            with contextlib.suppress(TimeoutError):
                self.background.run(self.close_pools())
            self.background.close()
        self.resolver.shutdown(wait=False, cancel_futures=True)

    async def close_pools(self) -> None:
        """Close the resting connections of the running loop."""
        with self.lock:
            pools = self.pools.pop(asyncio.get_running_loop(), None)
        if pools is not None:
            await pools.verified.aclose()
            await pools.unverified.aclose()


_open: list[Gate] = []


def open_outbound(
    *,
    allow_private: bool,
    ca_pem: str | None = None,
    max_connections: int = 512,
    max_connections_per_host: int = 6,
) -> None:
    """Open the way out for this process.

    `allow_private` lets calls reach loopback, private and reserved addresses; cloud metadata
    addresses stay closed either way. `ca_pem` is the text of further trusted authorities
    (`MAINSTAY_OUTBOUND_CA`). Raises `ssl.SSLError` when it is not PEM.
    """
    assert not _open, "outbound is open already"
    resolver = ThreadPoolExecutor(RESOLVER_THREADS, thread_name_prefix="outbound-dns")
    _open.append(
        Gate(
            dialer=Dialer(resolver=resolver, allow_private=allow_private),
            slots=Slots(total=max_connections, per_host=max_connections_per_host),
            resolver=resolver,
            allow_private=allow_private,
            verified=_verified(ca_pem),
            unverified=httpx.create_ssl_context(verify=False, trust_env=False),
            ca_pem=ca_pem,
        )
    )


@functools.lru_cache(maxsize=4)
def _verified(ca_pem: str | None, protocols: tuple[str, ...] = ()) -> ssl.SSLContext:
    """What checks certificates. Reading the public authorities takes 20 ms, so it is kept."""
    # trust_env=False: an SSL_CERT_FILE left in the environment must not decide whom we trust.
    context = httpx.create_ssl_context(verify=True, trust_env=False)
    if ca_pem is not None:
        context.load_verify_locations(cadata=ca_pem)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


@functools.lru_cache(maxsize=64)
def _with_client(client_pem: str, ca_pem: str | None, *, verify: bool) -> ssl.SSLContext:
    context = httpx.create_ssl_context(verify=verify, trust_env=False)
    if ca_pem is not None and verify:
        context.load_verify_locations(cadata=ca_pem)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:  # OpenSSL reads files alone
        file.write(client_pem)
        file.flush()
        context.load_cert_chain(file.name)
    return context


@functools.lru_cache(maxsize=4)
def _unverified(protocols: tuple[str, ...]) -> ssl.SSLContext:
    context = httpx.create_ssl_context(verify=False, trust_env=False)
    context.set_alpn_protocols(list(protocols))
    return context


@functools.lru_cache(maxsize=4)
def _authorities_file(context: ssl.SSLContext) -> str:
    """Written once per process, where nobody else may write; it goes when the process ends."""
    folder = tempfile.mkdtemp(prefix="mainstay-authorities-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / "authorities.pem"
    path.write_text(
        "".join(ssl.DER_cert_to_PEM_cert(der) for der in context.get_ca_certs(binary_form=True))
    )
    return str(path)


def close_outbound() -> None:
    """Close the way out; calls that are under way in the background are cancelled."""
    while _open:
        _open.pop().close()


async def close_resting_connections() -> None:
    """Close what `reuse=True` left open on this event loop; call it before the loop ends."""
    await gate().close_pools()


def gate() -> Gate:
    """Return what is open; a call before `open_outbound` is a bug."""
    assert _open, "call open_outbound first"
    return _open[0]
