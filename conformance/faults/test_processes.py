"""Processes that end, hang and come back."""

import time

import checks
from load import Load


def test_kill_the_leader(cluster):
    load = Load(cluster.hosts).start()
    load.wait_for_writes()
    time.sleep(3)
    old = cluster.leader()
    killed = cluster.kill(old)
    load.wait_for_writes()
    time.sleep(3)
    gap = load.history.longest_gap_seconds(killed - 0.1, time.monotonic())
    print(f"  without writes after kill -9 of the leader: {gap:.2f} s", flush=True)
    cluster.restart(old)
    cluster.wait_ready()
    time.sleep(1)
    checks.everything(cluster, load)
    assert gap < 10


def test_kill_followers_in_turn(cluster):
    load = Load(cluster.hosts).start()
    load.wait_for_writes()
    for follower in cluster.followers():
        killed = cluster.kill(follower)
        load.wait_for_writes()
        time.sleep(1)
        gap = load.history.longest_gap_seconds(killed - 0.1, time.monotonic())
        print(f"  without writes after kill -9 of a follower: {gap:.2f} s", flush=True)
        assert gap < 5
        cluster.restart(follower)
        cluster.wait_ready()
    checks.everything(cluster, load)


def test_kill_the_leader_again_and_again(cluster):
    load = Load(cluster.hosts).start()
    for _ in range(4):
        load.wait_for_writes()
        leader = cluster.leader()
        cluster.kill(leader)
        load.wait_for_writes()
        cluster.restart(leader)
        cluster.wait_ready()
    checks.everything(cluster, load)


def test_stop_the_leader_for_longer_than_a_session(cluster):
    """A paused leader wakes up believing that it still leads: it must serve nothing stale, and sessions must live on."""
    load = Load(cluster.hosts, session_timeout_ms=4_000).start()
    load.wait_for_writes()
    leader = cluster.leader()
    paused = time.monotonic()
    cluster.pause(leader)
    load.wait_for_writes()
    gap = load.history.longest_gap_seconds(paused - 0.1, time.monotonic())
    print(f"  without writes while the leader was stopped: {gap:.2f} s", flush=True)
    time.sleep(max(0.0, paused + 9 - time.monotonic()))
    cluster.resume(leader)
    load.wait_for_writes()
    time.sleep(1)
    cluster.wait_ready()
    checks.everything(cluster, load)


def test_stop_a_follower_for_longer_than_a_session(cluster):
    load = Load(cluster.hosts, session_timeout_ms=4_000).start()
    load.wait_for_writes()
    follower = cluster.followers()[0]
    cluster.pause(follower)
    time.sleep(9)
    cluster.resume(follower)
    load.wait_for_writes()
    cluster.wait_ready()
    checks.everything(cluster, load)


def test_restart_all_nodes_at_once(cluster):
    load = Load(cluster.hosts, session_timeout_ms=20_000).start()
    load.wait_for_writes()
    time.sleep(2)
    killed = time.monotonic()
    for node in cluster.nodes:
        node.child.signal(9)
    for node in cluster.nodes:
        cluster.kill(node)
    for node in cluster.nodes:
        cluster.restart(node)
    load.wait_for_writes()
    gap = load.history.longest_gap_seconds(killed - 0.1, time.monotonic())
    print(f"  without writes while all nodes restarted: {gap:.2f} s", flush=True)
    cluster.wait_ready()
    lost = [client.name for client in load.clients if client.expired]
    assert not lost, f"sessions must outlive a restart that is shorter than their timeout: {lost}"
    checks.everything(cluster, load)
