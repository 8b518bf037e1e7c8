"""Operations as bytes: what client libraries hide, and the traps in ZooKeeper's behaviour."""

import struct

from harness import wire

OK, NO_NODE, BAD_VERSION, NODE_EXISTS, NO_WATCHER = 0, -101, -103, -110, -121
RUNTIME_INCONSISTENCY = -2


def multi(*operations: tuple[int, bytes]) -> bytes:
    body = b"".join(struct.pack(">ibi", op, 0, -1) + record for op, record in operations)
    return body + struct.pack(">ibi", -1, 1, -1)


def results(body: bytes, count: int) -> list[tuple[int, int]]:
    """(type, error) of a multi's results, for results that are errors or have no body."""
    found, at = [], 0
    for _ in range(count):
        kind, done, _ = struct.unpack_from(">ibi", body, at)
        assert not done
        at += 9
        (error,) = struct.unpack_from(">i", body, at)
        at += 4
        found.append((kind, error))
    assert struct.unpack_from(">ibi", body, at) == (-1, 1, -1)
    return found


def stat_of(connection, path: str) -> tuple:
    error, body = connection.call(wire.EXISTS, wire.string(path) + b"\0")
    assert error == OK
    return struct.unpack(">qqqqiiiqiiq", body)


def test_a_failed_multi_changes_nothing_and_names_the_culprit(connection, path):
    error, body = connection.call(wire.MULTI, multi(
        (wire.CREATE, wire.create_body(path, b"")),
        (wire.DELETE, wire.string(path + "-absent") + struct.pack(">i", -1)),
        (wire.CREATE, wire.create_body(path + "-later", b"")),
    ))
    assert error == OK, "the header of a failed multi says 0"
    assert results(body, 3) == [(-1, OK), (-1, NO_NODE), (-1, RUNTIME_INCONSISTENCY)]
    assert connection.call(wire.EXISTS, wire.string(path) + b"\0")[0] == NO_NODE


def test_all_of_a_multi_happens_under_one_zxid(connection, path):
    error, _ = connection.call(wire.MULTI, multi(
        (wire.CREATE, wire.create_body(path, b"")), (wire.CREATE, wire.create_body(path + "-twin", b"")),
    ))
    assert error == OK
    assert stat_of(connection, path)[0] == stat_of(connection, path + "-twin")[0]


def test_check_guards_a_multi(connection, path):
    connection.create(path)
    _, body = connection.call(wire.MULTI, multi(
        (wire.CHECK, wire.string(path) + struct.pack(">i", 5)),
        (wire.DELETE, wire.string(path) + struct.pack(">i", -1)),
    ))
    assert results(body, 2) == [(-1, BAD_VERSION), (-1, RUNTIME_INCONSISTENCY)]
    _, body = connection.call(wire.MULTI, multi((wire.CHECK, wire.string(path) + struct.pack(">i", 0))))
    assert body[:9] == struct.pack(">ibi", wire.CHECK, 0, 0)


def test_an_empty_multi_succeeds(connection):
    error, body = connection.call(wire.MULTI, multi())
    assert error == OK and body == struct.pack(">ibi", -1, 1, -1)


def test_multi_read_reports_each_error_by_itself(connection, path):
    connection.create(path, b"data")
    error, body = connection.call(wire.MULTI_READ, multi(
        (wire.GET_DATA, wire.string(path) + b"\0"), (wire.GET_DATA, wire.string(path + "-absent") + b"\0"),
    ))
    assert error == OK
    assert struct.unpack_from(">ibi", body) == (wire.GET_DATA, 0, 0)
    first = 9 + 4 + len(b"data") + 68
    assert body[13:17] == b"data"
    assert struct.unpack_from(">ibii", body, first) == (-1, 0, NO_NODE, NO_NODE)


def test_sequence_numbers_count_creates_and_deletes_never_give_one_back(connection, path):
    connection.create(path)
    assert connection.create(f"{path}/plain")[0] == OK
    first = connection.create(f"{path}/s-", flags=wire.SEQUENTIAL)[1]
    assert first.endswith(b"s-0000000001"), "a plain create consumes a number too"
    connection.call(wire.DELETE, wire.string(f"{path}/s-0000000001") + struct.pack(">i", -1))
    assert connection.create(f"{path}/s-", flags=wire.SEQUENTIAL)[1].endswith(b"s-0000000002")


def test_cversion_and_pzxid_move_with_children_only(connection, path):
    connection.create(path)
    before = stat_of(connection, path)
    connection.call(wire.SET_DATA, wire.string(path) + wire.buffer(b"x") + struct.pack(">i", -1))
    assert stat_of(connection, path)[10] == before[10] and stat_of(connection, path)[5] == 0
    connection.create(f"{path}/a")
    connection.call(wire.DELETE, wire.string(f"{path}/a") + struct.pack(">i", -1))
    after = stat_of(connection, path)
    assert after[10] > before[10] and after[5] == 2


def test_a_failed_write_consumes_a_zxid(connection, path):
    connection.create(path)
    before = stat_of(connection, path)[0]
    assert connection.create(path)[0] == NODE_EXISTS
    connection.create(path + "-next")
    assert stat_of(connection, path + "-next")[0] > before + 1


def test_the_event_comes_before_the_reply_of_the_write_that_caused_it(connection, path):
    connection.create(path)
    connection.call(wire.GET_DATA, wire.string(path) + b"\1")
    sent = connection.send(wire.SET_DATA, wire.string(path) + wire.buffer(b"new") + struct.pack(">i", -1))
    event = connection.reply()
    assert event[0] == wire.XID_WATCH and event[3] == struct.pack(">ii", 3, 3) + wire.string(path)
    assert connection.reply()[0] == sent


def test_a_watch_on_two_kinds_fires_once_on_delete(connection, path):
    connection.create(path)
    connection.call(wire.GET_DATA, wire.string(path) + b"\1")
    connection.call(8, wire.string(path) + b"\1")
    sent = connection.send(wire.DELETE, wire.string(path) + struct.pack(">i", -1))
    event = connection.reply()
    assert event[0] == wire.XID_WATCH and struct.unpack_from(">i", event[3])[0] == 2
    assert connection.reply()[0] == sent, "deleting a node must tell one session once"


def test_replies_come_in_the_order_of_requests(connection, path):
    connection.create(path)
    sent = []
    for number in range(300):
        if number % 3:
            sent.append(connection.send(wire.GET_DATA, wire.string(path) + b"\0"))
        else:
            sent.append(connection.send(wire.SET_DATA, wire.string(path) + wire.buffer(b"%d" % number) + struct.pack(">i", -1)))
    seen, values = [], []
    for _ in sent:
        xid, _, error, body = connection.reply()
        assert error == OK
        seen.append(xid)
        if xid - sent[0] == 299:
            values.append(body[4:])
    assert seen == sent
    assert connection.call(wire.GET_DATA, wire.string(path) + b"\0")[1].startswith(wire.buffer(b"297"))


def test_set_watches_2_tells_what_happened_meanwhile(address, connection, path):
    for name in ("changed", "gone", "born", "quiet", "parent"):
        if name != "born":
            connection.create(f"{path}-{name}")
    last_seen = stat_of(connection, f"{path}-parent")[0]
    connection.call(wire.SET_DATA, wire.string(f"{path}-changed") + wire.buffer(b"x") + struct.pack(">i", -1))
    connection.call(wire.DELETE, wire.string(f"{path}-gone") + struct.pack(">i", -1))
    connection.create(f"{path}-born")
    connection.create(f"{path}-parent/child")
    with wire.Connection(address) as other:
        other.handshake()
        other.send(wire.SET_WATCHES2, struct.pack(">q", last_seen)
                   + wire.strings([f"{path}-changed", f"{path}-gone", f"{path}-quiet"])
                   + wire.strings([f"{path}-born"]) + wire.strings([f"{path}-parent"])
                   + wire.strings([f"{path}-persistent"]) + wire.strings([f"{path}-recursive"]), xid=wire.XID_SET_WATCHES)
        packets = [other.reply() for _ in range(5)]
        events = {packet[3][12:].decode(): struct.unpack_from(">i", packet[3])[0] for packet in packets if packet[0] == -1}
        assert events == {f"{path}-changed": 3, f"{path}-gone": 2, f"{path}-born": 1, f"{path}-parent": 4}
        assert [packet[2] for packet in packets if packet[0] == wire.XID_SET_WATCHES] == [OK]
        # The quiet one and the two persistent ones were re-armed.
        connection.call(wire.SET_DATA, wire.string(f"{path}-quiet") + wire.buffer(b"x") + struct.pack(">i", -1))
        connection.create(f"{path}-persistent")
        connection.create(f"{path}-recursive")
        connection.create(f"{path}-recursive/deep")
        told = [other.reply()[3][12:].decode() for _ in range(4)]
        assert told == [f"{path}-quiet", f"{path}-persistent", f"{path}-recursive", f"{path}-recursive/deep"]


def test_removing_a_watch_that_is_not_there_says_so(connection, path):
    for operation in (17, 18):
        assert connection.call(operation, wire.string(path) + struct.pack(">i", 3))[0] == NO_WATCHER


def test_zxids_never_go_back_within_a_session(connection, path):
    last = 0
    for number in range(50):
        connection.send(wire.CREATE, wire.create_body(f"{path}-{number}", b""))
        connection.send(wire.EXISTS, wire.string(path) + b"\0")
        for _ in range(2):
            _, zxid, _, _ = connection.reply()
            assert zxid >= last
            last = zxid


def test_bad_paths_are_bad_arguments(connection, path):
    connection.create(path)
    # Each has a parent that exists: ZooKeeper looks for the parent before it looks at the rest of the path.
    for bad in ("", "relative", f"{path}/", "//double", f"{path}/..", f"{path}/.", f"{path}/null\0"):
        assert connection.create(bad)[0] == -8, bad


def test_an_empty_acl_is_invalid(connection, path):
    body = wire.string(path) + wire.buffer(b"") + struct.pack(">ii", 0, 0)
    assert connection.call(wire.CREATE, body)[0] == -114


def test_an_ephemeral_node_has_no_children(connection, path):
    connection.create(path, flags=wire.EPHEMERAL)
    assert connection.create(f"{path}/child")[0] == -108
    assert stat_of(connection, path)[7] == connection.session


def test_containers_and_ttl_nodes_hide_their_owner(connection, path):
    assert connection.call(wire.CREATE_CONTAINER, wire.create_body(f"{path}-c", b"", 4))[0] == OK
    assert connection.call(wire.CREATE_TTL, wire.create_body(f"{path}-t", b"", 5) + struct.pack(">q", 60_000))[0] == OK
    assert stat_of(connection, f"{path}-c")[7] == 0 and stat_of(connection, f"{path}-t")[7] == 0


def test_auth_is_answered_under_the_number_it_came_with(connection):
    """Most clients send -4, but ZooKeeper echoes whatever it got, and the Rust client counts on that."""
    body = struct.pack(">i", 0) + wire.string("digest") + wire.buffer(b"bob:builder")
    for number in (wire.XID_AUTH, 7):
        connection.send(wire.AUTH, body, xid=number)
        xid, zxid, error, _ = connection.reply()
        assert (xid, zxid, error) == (number, 0, OK)
