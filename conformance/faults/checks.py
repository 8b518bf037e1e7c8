"""What must hold after every fault, whatever it was."""

import struct
import time

from harness import wire
from harness.cluster import Cluster, Node
from linearizability import linearizable
from load import ROOT, Load, ephemeral_path, folder

# Fewer would mean that the run proved nothing.
LEAST_WRITES, LEAST_READS = 200, 20


def everything(cluster: Cluster, load: Load, nodes: list[Node] | None = None) -> None:
    """Ends the load, then checks what it saw against itself and against what every node serves now."""
    history = load.stop()
    nodes = nodes or [node for node in cluster.nodes if node.running]
    creates, reads = history.acknowledged("create"), history.acknowledged("read")
    print(f"  {len(history.operations)} operations, {len(creates)} acknowledged creates, {len(reads)} reads")
    assert len(history.acknowledged("create", "write", "cas")) >= LEAST_WRITES, "too few writes to prove anything"
    assert len(reads) >= LEAST_READS, "too few reads to prove anything"
    assert not history.violations, history.violations[:5]
    for key, operations in history.registers().items():
        assert linearizable(operations), f"{key} is not linearizable; the history is in {save(history, cluster)}"
    for node in nodes:
        nothing_is_lost(node, load)
        ephemerals_follow_their_sessions(node, load)
    for client in load.clients:
        client.close_session([node.address for node in nodes])
    ephemerals_are_gone(nodes)


def nothing_is_lost(node: Node, load: Load) -> None:
    acknowledged: dict[str, set[str]] = {folder(client.number): set() for client in load.clients}
    for op in load.history.acknowledged("create"):
        parent, _, name = op.key.rpartition("/")
        acknowledged[parent].add(name)
    with synced(node) as connection:
        for parent, names in acknowledged.items():
            missing = names - children(connection, parent)
            assert not missing, f"node {node.number} lost {len(missing)} acknowledged creates, such as {sorted(missing)[:3]}"


def ephemerals_follow_their_sessions(node: Node, load: Load) -> None:
    with synced(node) as connection:
        present = children(connection, f"{ROOT}/sessions")
    for client in load.clients:
        for session in client.expired:
            name = ephemeral_path(session).rpartition("/")[2]
            assert name not in present, f"node {node.number} still has an ephemeral of expired session {name}"


def ephemerals_are_gone(nodes: list[Node], seconds: float = 20) -> None:
    """Every session has been closed, but one that its client lost without knowing may take its timeout."""
    deadline = time.monotonic() + seconds
    for node in nodes:
        while True:
            with synced(node) as connection:
                left = children(connection, f"{ROOT}/sessions")
            if not left:
                break
            assert time.monotonic() < deadline, f"node {node.number} keeps ephemerals of ended sessions: {sorted(left)}"
            time.sleep(0.2)


def synced(node: Node, seconds: float = 20) -> wire.Connection:
    """A fresh session on the node that has caught up with the leader."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            connection = wire.Connection(node.address, 10).handshake()
            if connection.session and connection.call(wire.SYNC, wire.string("/"))[0] == 0:
                return connection
        except (OSError, wire.Closed):
            pass
        assert time.monotonic() < deadline, f"node {node.number} does not serve"
        time.sleep(0.1)


def children(connection: wire.Connection, path: str) -> set[str]:
    error, body = connection.call(8, wire.string(path) + b"\0")
    assert error == 0, f"children of {path}: {error}"
    (count,), at, names = struct.unpack_from(">i", body), 4, set()
    for _ in range(count):
        (length,) = struct.unpack_from(">i", body, at)
        names.add(body[at + 4 : at + 4 + length].decode())
        at += 4 + length
    return names


def save(history, cluster) -> str:
    path = f"{cluster.directory}/history.jsonl"
    history.save(path)
    return path
