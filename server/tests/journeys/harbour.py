"""Servers on as many ports as asked, in one process that can be killed as a whole: `COUNT`.

Each answers any request with an HTTP 200. The ports are printed as one line.
"""

import asyncio
import sys

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(65_536)
    writer.write(ANSWER)
    await writer.drain()
    writer.close()


async def main(count: int) -> None:
    """Listen until killed."""
    servers = [await asyncio.start_server(_answer, "127.0.0.1", 0) for _ in range(count)]
    ports = [str(server.sockets[0].getsockname()[1]) for server in servers]
    sys.stdout.write(" ".join(ports) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
