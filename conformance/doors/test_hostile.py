"""Clients that mean harm, on every port: they cost only themselves, and that not for long."""

import contextlib
import random
import socket
import ssl
import time

import pytest

from harness import wire

# A slow client has a second for its TLS and another for what comes next; among nodes it is two.
PORTS = {"client": 2.0, "http": 2.0, "peer": 4.0}
SLACK = 2.0


def address(lone, port: str) -> tuple[str, int]:
    node = lone.nodes[0]
    host, number = {"client": node.address, "http": lone.http(node), "peer": lone.peer(node)}[port].split(":")
    return host, int(number)


def context(lone, port: str) -> ssl.SSLContext:
    return lone.certificates.context("node-1" if port == "peer" else None)


def secure(lone, port: str) -> ssl.SSLSocket:
    host, number = address(lone, port)
    return context(lone, port).wrap_socket(socket.create_connection((host, number), 5), server_hostname=host)


def client_hello(lone, port: str) -> bytes:
    """What a good client says first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    conversation = context(lone, port).wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with contextlib.suppress(ssl.SSLWantReadError):
        conversation.do_handshake()
    return outgoing.read()


def check_service(lone) -> None:
    """Somebody else is served, quickly, on both of the ports that serve."""
    began = time.monotonic()
    with wire.Connection(lone.nodes[0].address, context=lone.certificates.context()) as connection:
        assert connection.handshake().session != 0
        connection.ping()
        connection.call(wire.CLOSE)
    assert lone.ask("GET", "/v1/status", role="read")[0] == 200
    assert time.monotonic() - began < 2, "others are served slowly"


def drip(lone, connection: socket.socket, said: bytes, limit: float) -> float:
    """Says it a byte at a time until the other side hangs up; how long that took."""
    began = time.monotonic()
    connection.settimeout(0.1)
    for byte in said:
        if time.monotonic() - began > limit:
            pytest.fail(f"still open after {limit} s")
        try:
            connection.send(bytes([byte]))
            if connection.recv(4096) == b"":
                return time.monotonic() - began
        except (TimeoutError, ssl.SSLWantReadError):
            pass
        except OSError:
            return time.monotonic() - began
        if int(time.monotonic() * 10) % 5 == 0:
            check_service(lone)
    pytest.fail("it took everything, however slowly")


@pytest.mark.parametrize("port", PORTS)
def test_a_handshake_that_drips(lone, port):
    with socket.create_connection(address(lone, port), 5) as connection:
        took = drip(lone, connection, client_hello(lone, port), PORTS[port] + SLACK)
    print(f"\n  {port}: closed after {took:.1f} s", flush=True)
    assert lone.metric("quipu_tls_handshakes_failed_total", listener=port, reason="timeout") > 0


SLOW_REQUESTS = {
    "client": wire.struct.pack(">i", 44) + b"\0" * 43,
    "http": b"GET /v1/status HTTP/1.1\r\nX-Slow: " + b"s" * 200,
    "peer": b"quipu\0np" + b"\1\0\xff\0" + b"s" * 200,
}


@pytest.mark.parametrize("port", PORTS)
def test_a_request_that_drips_behind_the_door(lone, port):
    with secure(lone, port) as connection:
        took = drip(lone, connection, SLOW_REQUESTS[port], PORTS[port] + SLACK)
    print(f"\n  {port}: closed after {took:.1f} s", flush=True)


@pytest.mark.parametrize("port", PORTS)
def test_silence_is_not_waited_for(lone, port):
    silent = [socket.create_connection(address(lone, port), 5) for _ in range(50)]
    check_service(lone)
    deadline = time.monotonic() + PORTS[port] + SLACK
    for connection in silent:
        connection.settimeout(max(0.1, deadline - time.monotonic()))
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b"", "a silent connection stays open"
        connection.close()


def http(lone, said: bytes) -> bytes:
    """What is answered to these bytes, until the node hangs up."""
    answer = b""
    with contextlib.suppress(OSError), secure(lone, "http") as connection:
        connection.sendall(said)
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


def authorized(lone, request: bytes) -> bytes:
    return request + f"\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {lone.token('write')}\r\n".encode()


def test_a_huge_header_is_refused(lone):
    said = authorized(lone, b"GET /v1/status HTTP/1.1") + b"X-Huge: " + b"h" * 1_000_000 + b"\r\n\r\n"
    answer = http(lone, said)
    assert answer == b"" or b" 431 " in answer.splitlines()[0], answer[:200]
    many = b"".join(b"X-%d: x\r\n" % number for number in range(10_000))
    answer = http(lone, authorized(lone, b"GET /v1/status HTTP/1.1") + many + b"\r\n")
    assert answer == b"" or b" 431 " in answer.splitlines()[0], answer[:200]
    check_service(lone)


def test_a_huge_body_is_refused(lone):
    head = authorized(lone, b"POST /v1/locks/huge/acquire HTTP/1.1")
    said = head + b"Content-Length: 10000000000\r\n\r\n" + b"{" * 200_000
    answer = http(lone, said)
    assert answer == b"" or b" 413 " in answer.splitlines()[0], answer[:200]
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n" + (b"8000\r\n" + b" " * 0x8000 + b"\r\n") * 20
    answer = http(lone, chunked)
    assert answer == b"" or b" 413 " in answer.splitlines()[0], answer[:200]
    check_service(lone)


def test_a_body_that_never_comes(lone):
    head = authorized(lone, b"POST /v1/locks/huge/acquire HTTP/1.1")
    began = time.monotonic()
    http(lone, head + b"Content-Length: 100\r\n\r\n{")
    assert time.monotonic() - began < 2 + SLACK


@pytest.mark.parametrize("port", PORTS)
def test_garbage(lone, port):
    numbers = random.Random(11)
    for attempt in range(60):
        with contextlib.suppress(OSError):
            connect = secure(lone, port) if attempt % 2 else socket.create_connection(address(lone, port), 5)
            with connect as connection:
                connection.sendall(numbers.randbytes(numbers.randrange(1, 4000)))
                connection.shutdown(socket.SHUT_WR)
    check_service(lone)


def test_garbage_within_a_handshake(lone):
    """The hello is good but for one byte of it."""
    numbers = random.Random(12)
    for port in PORTS:
        good = client_hello(lone, port)
        for _ in range(60):
            bad = bytearray(good)
            bad[numbers.randrange(len(bad))] ^= 1 << numbers.randrange(8)
            with contextlib.suppress(OSError), socket.create_connection(address(lone, port), 5) as connection:
                connection.sendall(bad)
                connection.settimeout(0.05)
                connection.recv(4096)
    check_service(lone)


def test_as_many_idle_clients_as_there_may_be(lone):
    """A thousand sessions that say nothing: the next is refused, the others are served, and room comes back."""
    crowd = []
    try:
        while len(crowd) < 990:
            connection = wire.Connection(lone.nodes[0].address, context=lone.certificates.context())
            crowd.append(connection.handshake(timeout_ms=40_000))
        refused = 0
        for _ in range(20):
            try:
                crowd.append(wire.Connection(lone.nodes[0].address, context=lone.certificates.context()).handshake())
            except (wire.Closed, OSError):
                refused += 1
        assert 5 <= refused < 20, "the limit is a thousand"
        assert lone.metric("quipu_connections_refused_total", reason="too_many_connections") >= refused
        crowd[0].ping()
        crowd[-1].ping()
        assert lone.ask("GET", "/v1/status", role="read")[0] == 200
    finally:
        for connection in crowd:
            connection.close()
    deadline = time.monotonic() + 5
    while lone.metric("quipu_connections") > 100 and time.monotonic() < deadline:
        time.sleep(0.1)
    check_service(lone)


def test_a_client_that_never_reads_is_cut_off(lone):
    with wire.Connection(lone.nodes[0].address, context=lone.certificates.context()) as honest:
        honest.handshake()
        honest.create("/long", b"x" * 500_000)
        with wire.Connection(lone.nodes[0].address, timeout=0.5, context=lone.certificates.context()) as hostile:
            hostile.handshake()
            with contextlib.suppress(OSError, wire.Closed):
                for _ in range(2000):
                    hostile.send(wire.GET_DATA, wire.string("/long") + b"\0")
            honest.ping()
            check_service(lone)
