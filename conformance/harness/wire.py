"""ZooKeeper's wire protocol, just enough to say things that no client library would.

Every packet is a 4-byte big-endian length and a record; see zookeeper.jute in ZooKeeper's sources for the records.
"""

import socket
import ssl
import struct
import time

CREATE, DELETE, EXISTS, GET_DATA, SET_DATA, SYNC, PING, CHECK, MULTI = 1, 2, 3, 4, 5, 9, 11, 13, 14
CREATE_TTL, CREATE_CONTAINER, MULTI_READ, ADD_WATCH, SET_WATCHES2, AUTH, CLOSE = 21, 19, 22, 106, 105, 100, -11
PERSISTENT, EPHEMERAL, SEQUENTIAL, EPHEMERAL_SEQUENTIAL = 0, 1, 2, 3
XID_WATCH, XID_PING, XID_AUTH, XID_SET_WATCHES = -1, -2, -4, -8


def string(text: str | None) -> bytes:
    return buffer(None if text is None else text.encode())


def buffer(data: bytes | None) -> bytes:
    return struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data


def strings(texts: list[str]) -> bytes:
    return struct.pack(">i", len(texts)) + b"".join(string(text) for text in texts)


# One entry: all permissions for world:anyone.
OPEN_ACL = struct.pack(">ii", 1, 31) + string("world") + string("anyone")


def create_body(path: str, data: bytes, flags: int = PERSISTENT) -> bytes:
    return string(path) + buffer(data) + OPEN_ACL + struct.pack(">i", flags)


class Closed(Exception):
    """The server closed the connection."""


class Connection:
    """One TCP connection with a session on it. Not thread-safe."""

    def __init__(self, address: str, timeout: float = 5.0, context: ssl.SSLContext | None = None):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout)
        if context:
            self.socket = context.wrap_socket(self.socket, server_hostname=host)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.xid = 0
        self.session, self.password, self.session_timeout_ms = 0, bytes(16), 0

    def handshake(self, timeout_ms=10_000, session=0, password=bytes(16), last_zxid=0, read_only: bool | None = False):
        """Opens or takes over a session; a granted timeout of 0 means that the server refused it."""
        body = struct.pack(">iqiq", 0, last_zxid, timeout_ms, session) + buffer(password)
        self.send_raw(body if read_only is None else body + bytes([read_only]))
        reply = self.receive()
        _, self.session_timeout_ms, self.session, length = struct.unpack_from(">iiqi", reply)
        self.password = reply[20 : 20 + length]
        return self

    def send_raw(self, body: bytes) -> None:
        self.send_bytes(struct.pack(">i", len(body)) + body)

    def send_bytes(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Closed from error

    def receive(self) -> bytes:
        (length,) = struct.unpack(">i", self._exactly(4))
        return self._exactly(length)

    def send(self, operation: int, body: bytes = b"", xid: int | None = None) -> int:
        if xid is None:
            self.xid += 1
            xid = self.xid
        self.send_raw(struct.pack(">ii", xid, operation) + body)
        return xid

    def reply(self) -> tuple[int, int, int, bytes]:
        """The next packet: xid, zxid, error, body. Events have xid -1."""
        packet = self.receive()
        return *struct.unpack_from(">iqi", packet), packet[16:]

    def call(self, operation: int, body: bytes = b"", xid: int | None = None) -> tuple[int, bytes]:
        """Sends one request and returns the error and body of its reply; events in between are dropped."""
        sent = self.send(operation, body, xid)
        while True:
            xid, _, error, answer = self.reply()
            if xid == sent:
                return error, answer
            assert xid in (XID_WATCH, XID_PING), f"expected the reply to {sent}, got {xid}"

    def create(self, path: str, data: bytes = b"", flags: int = PERSISTENT) -> tuple[int, bytes]:
        return self.call(CREATE, create_body(path, data, flags))

    def ping(self) -> None:
        error, _ = self.call(PING, xid=XID_PING)
        assert error == 0, f"ping answered {error}"

    def is_closed(self, seconds: float = 5.0) -> bool:
        """True once the server has closed its end, whatever it still says before that."""
        deadline = time.monotonic() + seconds
        try:
            while (left := deadline - time.monotonic()) > 0:
                self.socket.settimeout(left)
                if not self.socket.recv(65536):
                    return True
        except TimeoutError:
            return False
        except OSError:
            return True
        return False

    def close(self) -> None:
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            try:
                chunk = self.socket.recv(count - len(data))
            except ConnectionResetError as error:
                raise Closed from error
            if not chunk:
                raise Closed
            data += chunk
        return bytes(data)
