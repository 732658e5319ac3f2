"""The pager of the inspections team: takes alert webhooks that are signed and writes a line each.

Standard library only. The secret is the one that Mainstay shows when the channel is made.

    WEBHOOK_SECRET=whsec_… python receiver.py 8002
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = os.environ.get("WEBHOOK_SECRET", "")
MOST_BYTES = 100_000
MOST_SECONDS_OLD = 300
MOST_REMEMBERED = 1_000
seen: dict[str, float] = {}


def is_genuine(message_id: str, timestamp: str, signature: str, body: bytes) -> bool:
    """Whether the message was signed with our secret, not long ago (Standard Webhooks)."""
    if not timestamp.isascii() or not timestamp.isdigit():
        return False
    if abs(time.time() - int(timestamp)) > MOST_SECONDS_OLD:
        return False
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.".encode() + body
    wanted = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return any(hmac.compare_digest(wanted.encode(), each.encode()) for each in signature.split())


def remember(message_id: str) -> None:
    """Keep an id for a while: a message whose answer was lost comes again, with the same one."""
    while len(seen) >= MOST_REMEMBERED:
        seen.pop(next(iter(seen)))
    seen[message_id] = time.time()


class Receiver(BaseHTTPRequestHandler):
    """Answers one message: 204 when taken, 401 when not ours, 413 when too long."""

    timeout = 10

    def do_POST(self) -> None:
        given = self.headers.get("content-length", "")
        length = int(given) if given.isascii() and given.isdigit() else 0
        if length > MOST_BYTES:
            self.answer(413)
            return
        body = self.rfile.read(length)
        message_id, timestamp, signature = (
            self.headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature")
        )
        if not is_genuine(message_id, timestamp, signature, body):
            self.answer(401)
            return
        if message_id not in seen:
            remember(message_id)
            tell_people(json.loads(body))
        self.answer(204)

    def answer(self, status: int) -> None:
        self.send_response_only(status)
        self.end_headers()


def tell_people(message: dict[str, dict[str, str]]) -> None:
    """One line on standard output; here a pager would ring."""
    alert = message.get("alert", {})
    sys.stdout.write(f"{message['type']} {alert.get('severity')} {alert.get('title')}\n")
    sys.stdout.flush()


def main() -> None:
    """Serve on the port of the command line until interrupted."""
    if not SECRET:
        sys.exit("Set WEBHOOK_SECRET to the secret of the channel.")
    try:
        ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
