"""Partitions, in network namespaces that the test makes: whole, partial and one-way."""

import time

import pytest

import checks
import network
from harness import wire
from load import Load

# Hosts 1 to 3 are the nodes. Most clients live on host 4; host 5 is for the one on the minority's side.
CLIENTS, LONELY = 4, 5


@pytest.fixture
def net():
    if not network.available():
        pytest.skip("needs root and the `ip` command, to make network namespaces")
    with network.Network(LONELY) as net:
        yield net


@pytest.fixture
def cluster(new_cluster, net, request):
    """Three nodes on hosts of their own; the test itself sits on the clients' host."""
    print(f"\n{request.node.name}:", flush=True)
    cluster = new_cluster(3, addresses=[net.address(host) for host in (1, 2, 3)])
    cluster.prefix = lambda node: ["ip", "netns", "exec", net.namespace(node.number)]
    with net.inside(CLIENTS), cluster:
        yield cluster
        cluster.keep = request.node.has_failed


def watch_the_gap(load: Load, since: float, what: str) -> float:
    load.wait_for_writes(seconds=40)
    gap = load.history.longest_gap_seconds(since - 0.1, time.monotonic())
    print(f"  without writes {what}: {gap:.2f} s", flush=True)
    return gap


def test_the_leader_is_cut_from_the_majority(cluster, net):
    """Clients still reach it, so whatever it serves now would be stale."""
    load = Load(cluster.hosts).start()
    load.wait_for_writes()
    leader = cluster.leader()
    cut = time.monotonic()
    net.isolate(leader.number, but=[CLIENTS, LONELY])
    assert watch_the_gap(load, cut, "after the leader was cut from the majority") < 20
    time.sleep(5)
    net.heal()
    load.wait_for_writes()
    cluster.wait_ready()
    checks.everything(cluster, load)


def test_a_client_on_the_minority_side_gets_nothing_acknowledged(cluster, net):
    load = Load(cluster.hosts).start()
    load.wait_for_writes()
    leader = cluster.leader()
    with net.inside(LONELY):
        connection = wire.Connection(leader.address, timeout=8).handshake(timeout_ms=4_000)
    assert connection.create("/before")[0] == 0
    net.isolate(leader.number, but=[LONELY])
    net.isolate(LONELY, but=[leader.number])
    # The old leader may believe in itself for a moment, but no majority can have stored this.
    try:
        error = connection.create("/minority")[0]
        assert error != 0, "a write was acknowledged by a minority"
    except (wire.Closed, OSError):
        pass
    load.wait_for_writes(seconds=40)
    net.heal()
    cluster.wait_ready()
    with checks.synced(cluster.leader()) as again:
        assert again.call(wire.EXISTS, wire.string("/before") + b"\0")[0] == 0
    connection.close()
    checks.everything(cluster, load)


def test_two_followers_that_cannot_see_each_other_disturb_nobody(cluster, net):
    load = Load(cluster.hosts).start()
    load.wait_for_writes()
    one, other = cluster.followers()
    cut = time.monotonic()
    net.cut(one.number, other.number)
    time.sleep(6)
    assert watch_the_gap(load, cut, "while the followers could not see each other") < 5
    net.heal()
    checks.everything(cluster, load)


def test_a_leader_that_lost_one_follower_goes_on(cluster, net):
    load = Load(cluster.hosts).start()
    load.wait_for_writes()
    leader, follower = cluster.leader(), cluster.followers()[0]
    cut = time.monotonic()
    net.cut(leader.number, follower.number)
    time.sleep(6)
    assert watch_the_gap(load, cut, "while the leader and a follower could not see each other") < 10
    net.heal()
    cluster.wait_ready()
    checks.everything(cluster, load)


def test_a_leader_that_speaks_but_does_not_hear_is_replaced(cluster, net):
    """Its heartbeats arrive, so only its own check of the quorum can end its reign."""
    load = Load(cluster.hosts).start()
    load.wait_for_writes()
    leader = cluster.leader()
    cut = time.monotonic()
    for follower in cluster.followers():
        net.cut_one_way(follower.number, leader.number)
    assert watch_the_gap(load, cut, "after the leader went deaf") < 30
    net.heal()
    cluster.wait_ready()
    checks.everything(cluster, load)
