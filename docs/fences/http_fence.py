#!/usr/bin/env python3
"""A small storage service that refuses stale tokens. Only Python's standard library; loopback only, to copy from.

    http_fence.py PORT DATABASE
    curl -X PUT -H "X-Fence-Token: $QUIPU_FENCE" --data-binary @report 127.0.0.1:PORT/objects/report

PUT and DELETE need the header `X-Fence-Token`; every object remembers the greatest that it was written with, even when it
is deleted. 204: done. 409: the token is stale, nothing was changed; the least token still accepted is in the header
`X-Fence-Minimum`. 428: no token. 400: not a token. GET answers the object, and its token in `X-Fence-Token`.
"""

import re
import sqlite3
import sys
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MAX_OBJECT_BYTES = 1 << 20
MAX_TOKEN = (1 << 63) - 1


class Store:
    """Objects and their fences in one SQLite database, which makes comparing and writing one transaction."""

    def __init__(self, path: str):
        self.path = path
        with closing(self._open()) as database:
            # Waits for the disk at every commit: a fence that a power cut lowers is none.
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("CREATE TABLE IF NOT EXISTS objects (name TEXT PRIMARY KEY, body BLOB, fence INTEGER NOT NULL)")

    def write(self, name: str, body: bytes | None, token: int) -> int | None:
        """None when written, else the least token that is still accepted. `body` None deletes, and keeps the fence."""
        with closing(self._open()) as database:
            # One statement, and SQLite has one writer at a time: nobody comes between the comparison and the write.
            done = database.execute(
                "INSERT INTO objects (name, body, fence) VALUES (?, ?, ?) ON CONFLICT (name) "
                "DO UPDATE SET body = excluded.body, fence = excluded.fence WHERE objects.fence <= excluded.fence",
                (name, body, token),
            )
            if done.rowcount == 1:
                return None
            return database.execute("SELECT fence FROM objects WHERE name = ?", (name,)).fetchone()[0]

    def read(self, name: str) -> tuple[bytes | None, int] | None:
        with closing(self._open()) as database:
            return database.execute("SELECT body, fence FROM objects WHERE name = ?", (name,)).fetchone()

    def _open(self) -> sqlite3.Connection:
        # isolation_level None: each statement is a transaction of its own.
        database = sqlite3.connect(self.path, timeout=10, isolation_level=None)
        database.execute("PRAGMA synchronous = FULL")
        return database


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    store: Store

    def do_PUT(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_OBJECT_BYTES:
            self.close_connection = True
            return self._answer(413 if length.isdecimal() else 411)
        self._write(self.rfile.read(int(length)))

    def do_DELETE(self) -> None:
        # A body would be taken for the next request.
        self.close_connection = True
        self._write(None)

    def do_GET(self) -> None:
        found = self.store.read(self._name()) if self._name() else None
        if found is None or found[0] is None:
            return self._answer(404)
        self._answer(200, {"X-Fence-Token": str(found[1])}, found[0])

    def _write(self, body: bytes | None) -> None:
        token = self.headers.get("X-Fence-Token")
        if not self._name():
            self._answer(404)
        elif token is None:
            self._answer(428)
        elif not re.fullmatch("[0-9]{1,19}", token) or not 0 < int(token) <= MAX_TOKEN:
            self._answer(400)
        else:
            minimum = self.store.write(self._name(), body, int(token))
            self._answer(204) if minimum is None else self._answer(409, {"X-Fence-Minimum": str(minimum)})

    def _name(self) -> str:
        return self.path.removeprefix("/objects/") if self.path.startswith("/objects/") else ""

    def _answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_) -> None:
        pass


class Server(ThreadingHTTPServer):
    # Python's own 5 turns connections away as soon as a few come at once.
    request_queue_size = 128


def main() -> None:
    port, database = sys.argv[1:]
    Handler.store = Store(database)
    with Server(("127.0.0.1", int(port)), Handler) as server:
        print(f"ready on 127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
