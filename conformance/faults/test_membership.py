"""A cluster that grows and shrinks while it serves, through `quipu member`."""

import subprocess
import time

import pytest

import checks
from harness.quipu import Nodes, binary
from load import Load

pytestmark = pytest.mark.usefixtures("ours")


def member(cluster: Nodes, *words: str) -> None:
    """Runs `quipu member`, which asks any running node."""
    urls = ",".join(f"http://{cluster.http(node)}" for node in cluster.nodes if node.running)
    command = [binary(), "member", "--node", urls, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"


def test_grow_from_one_to_five_and_shrink_back_under_load(request):
    print(f"\n{request.node.name}:", flush=True)
    with Nodes(5, founders=1) as cluster:
        load = Load(cluster.hosts).start()
        load.wait_for_writes()
        began = time.monotonic()
        for node in cluster.nodes[1:]:
            cluster.launch(node)
            member(cluster, "add", str(node.number), "--peer", cluster.peer(node), "--client", node.address, "--http", cluster.http(node))
            cluster.wait_ready()
            load.wait_for_writes()
        grown = time.monotonic()
        print(f"  grown to five in {grown - began:.1f} s, without writes for at most {load.history.longest_gap_seconds(began, grown):.2f} s")
        # The leader goes first, then those who follow it, until one is left.
        for _ in range(4):
            removed = cluster.leader()
            member(cluster, "remove", str(removed.number))
            removed.child.stop()
            load.wait_for_writes()
            cluster.wait_ready()
        shrunk = time.monotonic()
        print(f"  shrunk to one in {shrunk - grown:.1f} s, without writes for at most {load.history.longest_gap_seconds(grown, shrunk):.2f} s", flush=True)
        checks.everything(cluster, load)


def test_a_member_replaces_one_that_died(request):
    print(f"\n{request.node.name}:", flush=True)
    with Nodes(4, founders=3) as cluster:
        load = Load(cluster.hosts).start()
        load.wait_for_writes()
        dead, fresh = cluster.followers()[0], cluster.nodes[3]
        cluster.kill(dead)
        cluster.launch(fresh)
        member(cluster, "add", str(fresh.number), "--peer", cluster.peer(fresh), "--client", fresh.address, "--http", cluster.http(fresh))
        member(cluster, "remove", str(dead.number))
        cluster.wait_ready()
        time.sleep(2)
        checks.everything(cluster, load)
