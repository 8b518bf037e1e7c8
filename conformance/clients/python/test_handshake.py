"""Sessions on the wire: opening, taking over, being refused."""

import struct
import time

import pytest

from harness import wire


def test_the_timeout_is_clamped_between_two_and_twenty_ticks(address):
    with wire.Connection(address) as short, wire.Connection(address) as long:
        assert short.handshake(timeout_ms=1).session_timeout_ms == 4_000
        assert long.handshake(timeout_ms=10_000_000).session_timeout_ms == 40_000


@pytest.mark.parametrize("read_only, length", [(None, 36), (False, 37)], ids=["without flag", "with flag"])
def test_the_read_only_flag_is_echoed_only_to_those_who_sent_it(address, read_only, length):
    with wire.Connection(address) as connection:
        body = struct.pack(">iqiq", 0, 0, 10_000, 0) + wire.buffer(bytes(16))
        connection.send_raw(body if read_only is None else body + bytes([read_only]))
        assert len(connection.receive()) == length


def test_a_session_moves_to_another_node_with_its_ephemerals(hosts, path):
    with wire.Connection(hosts[0]) as first:
        first.handshake()
        assert first.create(path, b"", wire.EPHEMERAL)[0] == 0
        with wire.Connection(hosts[1]) as second:
            second.handshake(session=first.session, password=first.password)
            assert second.session == first.session
            assert second.call(wire.SYNC, wire.string("/"))[0] == 0
            assert second.call(wire.EXISTS, wire.string(path) + b"\0")[0] == 0


def test_a_request_through_the_node_that_a_session_left_closes_without_a_reply(hosts, path):
    with wire.Connection(hosts[0]) as first:
        first.handshake()
        with wire.Connection(hosts[1]) as second:
            second.handshake(session=first.session, password=first.password)
            try:
                first.send(wire.CREATE, wire.create_body(path, b""))
            except wire.Closed:
                return
            assert first.is_closed()
            assert second.call(wire.EXISTS, wire.string(path) + b"\0")[0] == -101


def refused(connection: wire.Connection) -> bool:
    return connection.session_timeout_ms == 0 and connection.session == 0 and connection.password == bytes(16)


def test_a_wrong_password_is_refused_with_an_empty_session_then_closed(address):
    with wire.Connection(address) as owner, wire.Connection(address) as thief:
        owner.handshake()
        assert refused(thief.handshake(session=owner.session, password=b"wrong password!!"))
        assert thief.is_closed()
        # ZooKeeper cuts the owner's connection before it looks at the password, but the session must live on.
        with wire.Connection(address) as again:
            assert again.handshake(session=owner.session, password=owner.password).session == owner.session


def test_an_unknown_session_is_refused(address):
    with wire.Connection(address) as ghost:
        assert refused(ghost.handshake(session=0x0123456789ABCDEF))


def test_a_closed_session_cannot_come_back(hosts, path):
    with wire.Connection(hosts[0]) as first:
        first.handshake()
        assert first.create(path, b"", wire.EPHEMERAL)[0] == 0
        assert first.call(wire.CLOSE)[0] == 0
        assert first.is_closed()
        with wire.Connection(hosts[1]) as second:
            # The follower may not have applied the close yet; the reattachment is decided by the leader.
            second.handshake(session=first.session, password=first.password)
            assert refused(second)


def test_a_client_from_the_future_is_turned_away_silently(address):
    """A node that has not seen what the client has seen must not serve it (single system image)."""
    with wire.Connection(address) as connection:
        with pytest.raises(wire.Closed):
            connection.handshake(last_zxid=2**62)


def test_a_silent_session_expires_and_its_ephemerals_go_with_it(hosts, path):
    with wire.Connection(hosts[0]) as silent, wire.Connection(hosts[1]) as observer:
        silent.handshake(timeout_ms=4_000)
        observer.handshake(timeout_ms=40_000)
        assert silent.create(path, b"", wire.EPHEMERAL)[0] == 0
        started = time.monotonic()
        while observer.call(wire.SYNC, wire.string("/")) and observer.call(wire.EXISTS, wire.string(path) + b"\0")[0] == 0:
            assert time.monotonic() - started < 15, "the session never expired"
            time.sleep(0.1)
        assert time.monotonic() - started > 3.5, "the session expired before its timeout"
        assert silent.is_closed(seconds=3)


def test_pings_keep_a_session_alive(address, path):
    with wire.Connection(address) as connection:
        connection.handshake(timeout_ms=4_000)
        assert connection.create(path, b"", wire.EPHEMERAL)[0] == 0
        for _ in range(7):
            time.sleep(1)
            connection.ping()
        assert connection.call(wire.EXISTS, wire.string(path) + b"\0")[0] == 0


def test_an_unknown_auth_scheme_fails_and_closes(connection):
    body = struct.pack(">i", 0) + wire.string("no-such-scheme") + wire.buffer(b"x")
    error, _ = connection.call(wire.AUTH, body, xid=wire.XID_AUTH)
    assert error == -115
    assert connection.is_closed()
