"""Disks that fill up and disks that lie. About our own files, so only against ours."""

import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

import checks
from harness.process import wait_until
from load import Load

pytestmark = pytest.mark.usefixtures("ours")
SMALL_DISK_MIB = 256


@contextmanager
def small_disk(folder: Path):
    """A file system of its own under the folder, unmounted whatever happens."""
    folder.mkdir(parents=True, exist_ok=True)
    if not mount("-t", "tmpfs", "-o", f"size={SMALL_DISK_MIB}m", "quipu-small-disk", str(folder)):
        pytest.skip("needs root, to mount a small file system")
    try:
        yield
    finally:
        # Lazily: a node that is still ending may hold its files open.
        subprocess.run(["umount", "--lazy", str(folder)], capture_output=True)


def mount(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], capture_output=True).returncode == 0


def fill(folder: Path) -> None:
    """Takes what the journal has left."""
    try:
        with open(folder / "ballast", "wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 16))
    except OSError:
        pass


def test_a_full_disk_stops_one_node_and_loses_nothing(new_cluster, request):
    print(f"\n{request.node.name}:", flush=True)
    cluster = new_cluster()
    victim = cluster.nodes[0]
    with small_disk(cluster.data(victim)), cluster:
        # Large values, so that the journal soon needs space that is not there.
        load = Load(cluster.hosts, data=bytes(20_000)).start()
        load.wait_for_writes()
        filled = time.monotonic()
        fill(cluster.data(victim))
        while victim.running and time.monotonic() < filled + 30:
            load.wait_for_writes()
        assert not victim.running, "the disk was never so full that the journal noticed: the test proves nothing"
        print(f"  the node ended {time.monotonic() - filled:.1f} s after its disk was full")
        load.wait_for_writes()
        gap = load.history.longest_gap_seconds(filled - 0.1, time.monotonic())
        print(f"  without writes with a full disk on one node: {gap:.2f} s", flush=True)
        checks.everything(cluster, load, [node for node in cluster.nodes if node is not victim])
        assert mount("-o", f"remount,size={8 * SMALL_DISK_MIB}m", str(cluster.data(victim)))
        cluster.restart(victim)
        cluster.wait_ready()
        checks.nothing_is_lost(victim, load)


@pytest.mark.parametrize("role", ["follower", "leader"])
def test_a_corrupt_byte_in_the_journal_is_found_and_refilled_from_peers(cluster, role):
    load = Load(cluster.hosts).start()
    load.wait_for_writes(count=500)
    time.sleep(2)
    victim = cluster.leader() if role == "leader" else cluster.followers()[0]
    cluster.kill(victim)
    flipped = flip_a_byte(cluster.data(victim))
    print(f"  flipped {flipped}")
    load.wait_for_writes()
    cluster.restart(victim)
    cluster.wait_ready()
    load.wait_for_writes()
    checks.everything(cluster, load)
    # Only a node that was really refilled can make a majority with one other.
    gone = next(node for node in cluster.nodes if node is not victim)
    cluster.kill(gone)
    wait_until(lambda: victim.mode() in ("leader", "follower"), 20, "the refilled node to serve in a majority of two")
    checks.nothing_is_lost(victim, load)


def flip_a_byte(folder: Path) -> str:
    """Flips one bit in the middle of what is written in the journal's largest segment."""
    segment = max(folder.rglob("*.segment"), key=lambda file: len(file.read_bytes().rstrip(b"\0")))
    data = bytearray(segment.read_bytes())
    middle = len(data.rstrip(b"\0")) // 2
    data[middle] ^= 0x10
    with open(segment, "r+b") as file:
        file.seek(middle)
        file.write(data[middle : middle + 1])
    return f"{segment.name} at {middle}"
