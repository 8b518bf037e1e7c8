"""Bytes that no client should send: the offender's connection closes, nobody else notices."""

import os
import random
import struct
import time

import pytest

from harness import wire

JUTE_MAXBUFFER = 0xFFFFF
UNIMPLEMENTED = -6

pytestmark = pytest.mark.usefixtures("bystander")


def frame(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


# What is sent before any session exists.
BEFORE_HANDSHAKE = {
    "negative length": struct.pack(">i", -1) + b"x" * 16,
    "most negative length": struct.pack(">i", -(2**31)),
    "length over the limit": struct.pack(">i", JUTE_MAXBUFFER + 1),
    "largest length": struct.pack(">i", 2**31 - 1),
    "an HTTP request": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a TLS hello": bytes.fromhex("160301007a0100007603") + b"\xa5" * 112,
    "an SSH banner": b"SSH-2.0-OpenSSH_9.2\r\n",
    "an empty record": frame(b""),
    "a handshake cut after its zxid": frame(struct.pack(">iq", 0, 0)),
    "a password longer than its frame": frame(struct.pack(">iqiq", 0, 0, 10_000, 0) + struct.pack(">i", 1 << 20)),
    "nonsense in a frame": frame(random.Random(7).randbytes(64)),
}


@pytest.mark.parametrize("sent", BEFORE_HANDSHAKE.values(), ids=BEFORE_HANDSHAKE.keys())
def test_nonsense_instead_of_a_handshake_closes_the_connection(address, sent):
    with wire.Connection(address) as hostile:
        hostile.send_bytes(sent)
        assert hostile.is_closed()


# What is sent on an established session, after the packet's length.
ON_A_SESSION = {
    "negative length": struct.pack(">i", -5),
    "length over the limit": struct.pack(">i", 2 * JUTE_MAXBUFFER),
    "a header cut short": frame(b"\0\0\0"),
    "a path longer than its frame": frame(struct.pack(">iii", 1, wire.GET_DATA, 1 << 20) + b"/a"),
    "a path of negative length": frame(struct.pack(">iii", 1, wire.GET_DATA, -7)),
    "a list longer than its frame": frame(
        struct.pack(">ii", 1, wire.CREATE) + wire.string("/x") + wire.buffer(b"") + struct.pack(">i", 2**31 - 1)
    ),
}


@pytest.mark.parametrize("sent", ON_A_SESSION.values(), ids=ON_A_SESSION.keys())
def test_a_malformed_packet_is_refused(connection, sent):
    """ZooKeeper closes on a broken frame and answers -5 (marshalling) to a broken body it could not even read."""
    connection.send_bytes(sent)
    try:
        _, _, error, _ = connection.reply()
    except wire.Closed:
        return
    assert error != 0, "a malformed packet was accepted"


def test_a_body_over_the_limit_closes_the_connection(connection, path):
    with pytest.raises((wire.Closed, OSError)):
        connection.create(path, b"x" * (JUTE_MAXBUFFER + 1))
        pytest.fail("a packet over jute.maxbuffer was accepted")


# 3.8.0 passes a lone check on to its leader, which then ends with «severe unrecoverable error».
CHECK_ALONE = pytest.param(13, marks=pytest.mark.beyond_reference("a check outside a multi ends its leader"))


@pytest.mark.parametrize("operation", [CHECK_ALONE, 23, 99, 500, 12345, -3])
def test_an_operation_no_client_may_send_answers_unimplemented_and_closes(connection, operation):
    connection.send(operation, wire.string("/") + bytes(16))
    _, _, error, _ = connection.reply()
    assert error == UNIMPLEMENTED
    assert connection.is_closed()


def test_a_packet_that_stops_halfway_blocks_only_its_sender(address, connection, path):
    with wire.Connection(address) as hostile:
        hostile.handshake()
        hostile.send_bytes(struct.pack(">i", 1000) + b"half")
        assert connection.create(path)[0] == 0


def test_a_slow_loris_starves_nobody(address, connection, path):
    """A crowd that sends its handshake byte by byte must not keep an honest client waiting."""
    crowd = [wire.Connection(address) for _ in range(100)]
    try:
        started = time.monotonic()
        for step, byte in enumerate(frame(struct.pack(">iqiq", 0, 0, 10_000, 0) + wire.buffer(bytes(16)))[:8]):
            for member in crowd:
                member.send_bytes(bytes([byte]))
            assert connection.create(f"{path}-{step}")[0] == 0
        assert time.monotonic() - started < 5
    finally:
        for member in crowd:
            member.close()


def test_a_client_that_never_reads_its_replies_starves_nobody(address, connection, path):
    assert connection.create(path, b"x" * 100_000)[0] == 0
    with wire.Connection(address, timeout=0.5) as hostile:
        hostile.handshake()
        try:
            for _ in range(2000):
                hostile.send(wire.GET_DATA, wire.string(path) + b"\0")
        except (TimeoutError, wire.Closed, OSError):
            pass  # Pushed back or closed: both are the server's good right.
        started = time.monotonic()
        assert connection.create(f"{path}-after")[0] == 0
        assert time.monotonic() - started < 5


def test_a_connection_reset_in_the_middle_of_requests_is_survived(address, connection, path):
    for attempt in range(50):
        with wire.Connection(address) as hostile:
            hostile.handshake()
            # Linger 0 turns close into a reset, with requests still on their way.
            hostile.socket.setsockopt(1, 13, struct.pack("ii", 1, 0))
            for number in range(20):
                hostile.send(wire.CREATE, wire.create_body(f"{path}-{attempt}-{number}", b"", wire.EPHEMERAL))
    assert connection.create(path)[0] == 0


@pytest.mark.beyond_reference("some random requests end its request pipeline, and the node hangs")
def test_random_frames_never_harm_the_server(address):
    """A small fuzzer over the wire; SEED repeats a run."""
    seed = int(os.environ.get("SEED", random.randrange(2**32)))
    print(f"SEED={seed}")
    numbers = random.Random(seed)
    for _ in range(200):
        with wire.Connection(address) as hostile:
            if numbers.random() < 0.8:
                hostile.handshake()
            operation = numbers.choice([*range(-11, 23), *range(100, 108), numbers.randrange(2**31)])
            body = struct.pack(">ii", numbers.randrange(1, 100), operation) + numbers.randbytes(numbers.randrange(64))
            try:
                hostile.send_raw(body)
                hostile.send_raw(numbers.randbytes(numbers.randrange(40)))
            except wire.Closed:
                pass
