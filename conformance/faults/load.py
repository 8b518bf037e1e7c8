"""Clients under way while the cluster is hurt: each has a session, an ephemeral node, and never stops trying."""

import itertools
import random
import struct
import threading
import time

from harness import wire
from history import History

ROOT = "/faults"
REGISTERS = [f"{ROOT}/register-{number}" for number in range(4)]
OK, NO_NODE, BAD_VERSION, NODE_EXISTS = 0, -101, -103, -110
# A request that waits longer than this is given up: its connection is dropped and its fate unknown.
REPLY_SECONDS = 3.0
PIPELINE = 8


class Client(threading.Thread):
    """A session that moves from node to node. Subclasses say what it does with a connection."""

    def __init__(self, number: int, hosts: list[str], history: History, session_timeout_ms: int, data: bytes):
        super().__init__(name=f"client-{number}", daemon=True)
        self.number, self.history, self.session_timeout_ms, self.data = number, history, session_timeout_ms, data
        # Each begins on another node.
        self.hosts = itertools.cycle(hosts[number % len(hosts) :] + hosts[: number % len(hosts)])
        self.session, self.password, self.last_zxid = 0, bytes(16), 0
        self.expired: list[int] = []
        self.stopping = threading.Event()
        self.counter = itertools.count()

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                with wire.Connection(next(self.hosts), REPLY_SECONDS) as connection:
                    if self.open_session(connection):
                        self.work(connection)
                        if self.stopping.is_set():
                            return
            except (OSError, wire.Closed):
                self.stopping.wait(0.02)

    def work(self, connection: wire.Connection) -> None:
        raise NotImplementedError

    def open_session(self, connection: wire.Connection) -> bool:
        connection.handshake(self.session_timeout_ms, self.session, self.password, self.last_zxid)
        if connection.session_timeout_ms == 0:
            self.expired.append(self.session)
            self.session, self.password = 0, bytes(16)
            return False
        if self.session != connection.session:
            self.session, self.password = connection.session, connection.password
        error, _ = connection.create(self.ephemeral, b"", wire.EPHEMERAL)
        return error in (OK, NODE_EXISTS)

    @property
    def ephemeral(self) -> str:
        return ephemeral_path(self.session)

    def reply(self, connection: wire.Connection) -> tuple[int, bytes]:
        xid, zxid, error, body = connection.reply()
        if zxid > 0:
            if zxid < self.last_zxid:
                self.history.violated(f"{self.name}: zxid went back from {self.last_zxid:x} to {zxid:x}")
            self.last_zxid = zxid
        return error, body

    def close_session(self, hosts: list[str]) -> None:
        """Ends the session in order, on whichever node answers."""
        for host in hosts:
            try:
                with wire.Connection(host, REPLY_SECONDS) as connection:
                    connection.handshake(self.session_timeout_ms, self.session, self.password, 0)
                    if connection.session_timeout_ms:
                        connection.call(wire.CLOSE)
                    return
            except (OSError, wire.Closed):
                continue


class Creator(Client):
    """Creates nodes of its own, several requests in flight: what is acknowledged must never be lost."""

    def work(self, connection: wire.Connection) -> None:
        in_flight = []
        while True:
            while len(in_flight) < PIPELINE and not self.stopping.is_set():
                key = f"{folder(self.number)}/{next(self.counter)}"
                in_flight.append(self.history.invoke(self.name, "create", key))
                connection.send(wire.CREATE, wire.create_body(key, self.data))
            if not in_flight:
                return
            entry = in_flight.pop(0)
            error, _ = self.reply(connection)
            entry.end("ok" if error == OK else "failed")


class Writer(Client):
    """Reads and writes the shared registers, one request at a time, so that an order can be looked for."""

    def work(self, connection: wire.Connection) -> None:
        numbers = random.Random(self.number * 1000 + next(self.counter))
        while not self.stopping.is_set():
            key = numbers.choice(REGISTERS)
            version = self.read(connection, key)
            value = f"{self.number}-{next(self.counter)}"
            self.write(connection, key, value, version if numbers.random() < 0.7 else None)
            # Enough to see every order, few enough to search them all.
            time.sleep(0.005)

    def read(self, connection: wire.Connection, key: str) -> int:
        entry = self.history.invoke(self.name, "read", key)
        connection.send(wire.SYNC, wire.string(key))
        connection.send(wire.GET_DATA, wire.string(key) + b"\0")
        synced, _ = self.reply(connection)
        error, body = self.reply(connection)
        if synced != OK or error != OK:
            entry.end("failed")
            return -1
        (length,) = struct.unpack_from(">i", body)
        entry.value = body[4 : 4 + length].decode() if length > 0 else None
        entry.version = version_of(body[4 + max(length, 0) :])
        entry.end("ok")
        return entry.version

    def write(self, connection: wire.Connection, key: str, value: str, expected: int | None) -> None:
        operation = "write" if expected is None else "cas"
        entry = self.history.invoke(self.name, operation, key, value, expected)
        wanted = -1 if expected is None else expected
        connection.send(wire.SET_DATA, wire.string(key) + wire.buffer(value.encode()) + struct.pack(">i", wanted))
        error, body = self.reply(connection)
        if error == OK:
            entry.version = version_of(body)
            entry.end("ok")
        elif error == BAD_VERSION:
            entry.end("failed")
        else:
            # Any other error says nothing that the checker could rely on.
            entry.end("unknown")
            entry.returned = None


class Load:
    """Several clients of both kinds, from `start` to `stop`."""

    def __init__(self, hosts: str, creators: int = 3, writers: int = 3, session_timeout_ms: int = 10_000, data: bytes = b""):
        self.hosts, self.history = hosts.split(","), History()
        kinds = [Creator] * creators + [Writer] * writers
        self.clients = [kind(n, self.hosts, self.history, session_timeout_ms, data) for n, kind in enumerate(kinds)]

    def start(self) -> "Load":
        _started.append(self)
        prepare(self.hosts[0], len(self.clients))
        self.started = time.monotonic()
        for client in self.clients:
            client.start()
        return self

    def stop(self, seconds: float = 30) -> History:
        self.stopped = time.monotonic()
        for client in self.clients:
            client.stopping.set()
        for client in self.clients:
            client.join(seconds)
            assert not client.is_alive(), f"{client.name} hangs"
        return self.history

    def wait_for_writes(self, count: int = 20, seconds: float = 30) -> float:
        """Returns the moment by which `count` more writes were acknowledged to those who asked after this call."""
        since = time.monotonic_ns()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            recent = self.history.operations[-2000:]
            if sum(op.outcome == "ok" and op.operation != "read" and op.invoked > since for op in recent) >= count:
                return time.monotonic()
            time.sleep(0.02)
        raise TimeoutError(f"no {count} writes within {seconds} s")


_started: list[Load] = []


def stop_all() -> None:
    """Ends the clients of a test that failed: the next cluster may get the same ports, and must not get its writes."""
    while _started:
        load = _started.pop()
        for client in load.clients:
            client.stopping.set()
        for client in load.clients:
            if client.is_alive():
                client.join(30)


def folder(number: int) -> str:
    return f"{ROOT}/created-{number}"


def ephemeral_path(session: int) -> str:
    return f"{ROOT}/sessions/{session & (2**64 - 1):016x}"


def version_of(stat: bytes) -> int:
    return struct.unpack_from(">qqqqi", stat)[4]


def prepare(host: str, clients: int) -> None:
    with wire.Connection(host, 10) as connection:
        connection.handshake()
        for path in [ROOT, f"{ROOT}/sessions", *map(folder, range(clients)), *REGISTERS]:
            error, _ = connection.call(wire.CREATE, wire.create_body(path, b""))
            assert error in (OK, NODE_EXISTS), f"create {path}: {error}"
        assert connection.call(wire.CLOSE)[0] == OK
