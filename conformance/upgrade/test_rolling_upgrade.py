"""Three nodes of the previous version become three of this one, one by one, while clients work."""

import time
import uuid

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError

import checks
from harness.api import Api
from harness.gates import wait_for_locks
from harness.quipu import Nodes, binary
from load import Load

# A feature that were to open too early would do so within this: members say twice a second what they understand.
GATE_SECONDS = 2.5
GATE = "/quipu/flags/quipu.locks"


class Mixed(Nodes):
    """A cluster that begins with the old program and whose nodes are replaced one by one."""

    name = "quipu, two versions"

    def __init__(self, old: str):
        super().__init__()
        self.old, self.programs = old, {node.number: old for node in self.nodes}

    def program(self, node) -> str:
        return self.programs[node.number]

    def replace(self, node, program: str) -> float:
        """Stops the node in order and starts it with another program on its data; how long it was gone."""
        began = time.monotonic()
        code = node.child.stop()
        assert code == 0, f"node {node.number} ended with {code}:\n{node.child.log_tail()}"
        self.programs[node.number] = program
        self.restart(node)
        self.wait_ready()
        return time.monotonic() - began

    def api(self, node) -> Api:
        return Api(self.http(node))

    def new_nodes(self) -> list:
        return [node for node in self.nodes if self.program(node) != self.old]


@pytest.fixture
def cluster(old_binary, request):
    print(f"\n{request.node.name}:", flush=True)
    with Mixed(old_binary) as cluster:
        yield cluster
        cluster.keep = request.node.has_failed


def work(cluster: Mixed, load: Load) -> None:
    """The clients that are under way get on, and a newcomer finds every kind of operation working on every node."""
    load.wait_for_writes()
    for node in cluster.nodes:
        client = KazooClient(node.address)
        client.start(10)
        try:
            folder = client.create(f"/upgrade-{uuid.uuid4().hex[:8]}", b"old and new", makepath=True)
            for created in [client.create_async(f"{folder}/n-", b"x" * 100, sequence=True) for _ in range(50)]:
                assert created.get(timeout=30).startswith(f"{folder}/n-")
            client.create(f"{folder}/ephemeral", b"", ephemeral=True)
            transaction = client.transaction()
            transaction.check(folder, 0)
            transaction.set_data(folder, b"changed")
            transaction.delete(f"{folder}/n-0000000007")
            assert not any(isinstance(result, Exception) for result in transaction.commit())
            assert client.get(folder)[0] == b"changed"
        finally:
            client.stop()
            client.close()


def locks_are_closed(cluster: Mixed) -> None:
    """New nodes say so, and old ones do not know what is asked; nobody grants anything."""
    for node in cluster.nodes:
        assert contents_of(node, GATE) is None, f"open on node {node.number}, although nodes are old"
        answer = cluster.api(node).request("POST", "/v1/locks/early/acquire", {"owner": "ann"})
        if node in cluster.new_nodes():
            assert (answer.status, answer.problem) == (503, "feature-closed"), f"node {node.number}: {answer}"
        else:
            assert answer.status == 404, f"old node {node.number}: {answer}"


def contents(node) -> dict[str, tuple]:
    """Everything in the tree as this node has it: path to data and stat."""
    client = KazooClient(node.address)
    client.start(10)
    found = {}
    try:
        client.sync("/")
        waiting = ["/"]
        while waiting:
            # Hundreds at once: one after the other would take longer than the upgrade.
            asked = [(path, client.get_async(path)) for path in waiting[:500]]
            del waiting[:500]
            for path, answer in asked:
                data, stat = answer.get(timeout=30)
                found[path] = (data, tuple(stat))
                if stat.numChildren:
                    waiting += [f"{path.rstrip('/')}/{child}" for child in client.get_children(path)]
    finally:
        client.stop()
        client.close()
    return found


def all_nodes_hold_the_same(cluster: Mixed) -> int:
    trees = {node.number: contents(node) for node in cluster.nodes}
    first = trees[1]
    assert len(first) > 100, "too little to compare"
    for number, tree in trees.items():
        different = [path for path in first.keys() | tree.keys() if first.get(path) != tree.get(path)]
        shown = [(path, first.get(path), tree.get(path)) for path in sorted(different)[:3]]
        assert not different, f"nodes 1 and {number} differ in {len(different)} nodes: {shown}"
    return len(first)


def test_upgrade_one_node_after_the_other(cluster):
    load = Load(cluster.hosts, creators=0).start()
    work(cluster, load)
    # The leader last: a new follower has to understand the old leader, and then an old follower the new leader.
    for node in [*cluster.followers(), cluster.leader()]:
        mixed = len(cluster.new_nodes()) < 2
        gone = cluster.replace(node, binary())
        work(cluster, load)
        print(f"  node {node.number} is new after {gone:.2f} s; leader: node {cluster.leader().number}", flush=True)
        if mixed:
            time.sleep(GATE_SECONDS)
            locks_are_closed(cluster)
            # Both versions have to be able to lead both.
            successor = next(n for n in cluster.followers() if (n in cluster.new_nodes()) != (cluster.leader() in cluster.new_nodes()))
            move_leadership(cluster, successor)
            work(cluster, load)
            locks_are_closed(cluster)
    last = time.monotonic()
    wait_for_locks([cluster.api(node) for node in cluster.nodes])
    print(f"  locks opened {time.monotonic() - last:.2f} s after the last node was replaced", flush=True)
    opened = [cluster.api(node).acquire("first", "ann", request_id="once")["token"] for node in cluster.nodes]
    assert len(set(opened)) == 1, opened
    flag = [contents_of(node, GATE) for node in cluster.nodes]
    assert flag[0] and flag.count(flag[0]) == 3, flag
    work(cluster, load)
    checks.everything(cluster, load)
    print(f"  {all_nodes_hold_the_same(cluster)} nodes of the tree are the same on all three", flush=True)
    # What the upgrade left behind must be readable: all three start again from their journals.
    for node in cluster.nodes:
        cluster.kill(node)
    for node in cluster.nodes:
        cluster.restart(node)
    cluster.wait_ready()
    wait_for_locks([cluster.api(node) for node in cluster.nodes])
    assert cluster.api(cluster.nodes[0]).held("first", opened[0])
    all_nodes_hold_the_same(cluster)


def test_a_node_goes_back_to_the_old_version_before_the_gate_opens(cluster):
    load = Load(cluster.hosts, creators=0).start()
    work(cluster, load)
    first, second = cluster.followers()
    cluster.replace(first, binary())
    cluster.replace(second, binary())
    work(cluster, load)
    time.sleep(GATE_SECONDS)
    locks_are_closed(cluster)
    # It has led, has written to its journal as the new version, and is now to be read by the old one.
    move_leadership(cluster, second)
    work(cluster, load)
    cluster.replace(second, cluster.old)
    work(cluster, load)
    cluster.kill(second)
    cluster.restart(second)
    cluster.wait_ready()
    work(cluster, load)
    time.sleep(GATE_SECONDS)
    locks_are_closed(cluster)
    checks.everything(cluster, load)
    print(f"  {all_nodes_hold_the_same(cluster)} nodes of the tree are the same on all three", flush=True)


def test_going_back_after_the_gate_has_opened_can_be_undone_at_once(cluster):
    """Nobody should do that: the old program passes over the entries that it cannot read, so its copy lacks the locks, and a
    snapshot of it would, too. As long as it neither leads nor makes one, the others are not disturbed, and the new
    program finds everything in the node's log again.
    """
    for node in cluster.nodes:
        cluster.replace(node, binary())
    wait_for_locks([cluster.api(node) for node in cluster.nodes])
    load = Load(cluster.hosts, creators=0).start()
    late = cluster.followers()[0]
    others = [node for node in cluster.nodes if node is not late]
    token = cluster.api(others[0]).acquire("held", "ann", ttl_ms=60_000)["token"]
    load.wait_for_writes()
    late.child.stop()
    cluster.programs[late.number] = cluster.old
    cluster.restart(late)
    time.sleep(GATE_SECONDS)
    load.wait_for_writes()
    assert all(cluster.api(node).held("held", token) for node in others)
    fresh = cluster.api(others[1]).acquire("fresh", "bob", ttl_ms=60_000)["token"]
    assert fresh > token
    late.child.stop()
    cluster.programs[late.number] = binary()
    cluster.restart(late)
    cluster.wait_ready()
    load.wait_for_writes()
    assert cluster.api(late).held("held", token) and cluster.api(late).held("fresh", fresh)
    work(cluster, load)
    work(cluster, load)
    checks.everything(cluster, load)
    all_nodes_hold_the_same(cluster)


def move_leadership(cluster: Mixed, node) -> None:
    """Asks whoever leads to hand over to this node; the request is the same in both versions."""
    deadline = time.monotonic() + 30
    while cluster.leader() is not node:
        assert time.monotonic() < deadline, f"node {node.number} does not become the leader"
        cluster.api(cluster.leader()).request("POST", f"/v1/transfer/{node.number}")
        time.sleep(0.3)


def contents_of(node, path: str) -> bytes | None:
    """None when there is no such node of the tree."""
    client = KazooClient(node.address)
    client.start(10)
    try:
        client.sync("/")
        return client.get(path)[0]
    except NoNodeError:
        return None
    finally:
        client.stop()
        client.close()
