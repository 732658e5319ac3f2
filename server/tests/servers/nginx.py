"""A real nginx in a temporary folder, with the server blocks of a test or of an example."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.processes import ServerProcess, connects_to, required_program

MAIN = """\
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {blocks}
}}
"""


@contextmanager
def running_nginx(blocks: str, *, port: int) -> Iterator[None]:
    """Run nginx with `upstream` and `server` blocks, one of which listens on the port."""
    folder = Path(tempfile.mkdtemp(prefix="mainstay-nginx-"))
    configuration = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    configuration.write_text(MAIN.format(user=user, folder=folder, blocks=blocks))
    server = ServerProcess(
        [
            required_program("nginx", package="nginx-light", folders=(Path("/usr/sbin"),)),
            *("-c", str(configuration), "-p", str(folder)),
        ],
        log=folder / "nginx.log",
        is_ready=connects_to(port),
    )
    try:
        server.start()
        yield
    finally:
        server.stop(signal_number=signal.SIGTERM)
        shutil.rmtree(folder, ignore_errors=True)
