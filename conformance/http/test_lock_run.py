"""`quipu lock run`: a command runs while a lock is held, and not when it is lost."""

import os
import signal
import subprocess
import time

import pytest

from harness.api import Api, lock
from harness.process import wait_until
from harness.quipu import Nodes, binary

# What a loaded machine may add to a time. Never subtracted: nothing may happen too early.
SLACK = 5.0
LOST, NOT_ACQUIRED = 75, 69


class Runs:
    """`quipu lock run` against a cluster, each in a folder of its own; whatever still runs is ended with the test."""

    def __init__(self, cluster: Nodes, folder):
        self.nodes = ",".join(f"http://{cluster.http(node)}" for node in cluster.nodes)
        self.folder = folder
        self.started: list[subprocess.Popen] = []

    def start(self, name: str, script: str, *options: str, nodes: str | None = None) -> subprocess.Popen:
        command = [binary(), "lock", "run", name, *options, "--", "sh", "-c", script]
        return self.start_command(command, nodes)

    def start_command(self, command: list[str], nodes: str | None = None) -> subprocess.Popen:
        environment = {**os.environ, "QUIPU_NODES": nodes or self.nodes}
        run = subprocess.Popen(
            command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        self.started.append(run)
        return run

    def wait_for(self, file: str, seconds: float = 10) -> str:
        """The text of a file that a script writes, once it has."""
        path = self.folder / file
        wait_until(lambda: path.exists() and path.read_text().endswith("\n"), seconds, file)
        return path.read_text().strip()

    def stop(self) -> None:
        for run in self.started:
            if run.poll() is None:
                run.send_signal(signal.SIGCONT)
                run.kill()
            run.communicate()


@pytest.fixture
def runs(cluster, tmp_path):
    runs = Runs(cluster, tmp_path)
    yield runs
    runs.stop()


@pytest.fixture
def own_runs(own_cluster, tmp_path):
    runs = Runs(own_cluster, tmp_path)
    yield runs
    runs.stop()


def ended(run: subprocess.Popen, seconds: float = 15) -> int:
    """The exit status; what the run printed is in the failure when it does not end."""
    try:
        run.out, run.said = run.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{run.args} still runs after {seconds} s") from None
    return run.returncode


def alive(pid: int) -> bool:
    """True for a process that is there and is more than a memory."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def is_free(api: Api, name: str) -> bool:
    return api.request("GET", lock(name)).status == 404


# A command with a child of its own. Both leave their numbers.
FAMILY = "sleep 1000 & echo $! > child; echo $$ > parent; wait"


def family(runs: Runs) -> list[int]:
    return [int(runs.wait_for(name)) for name in ("parent", "child")]


def test_the_command_has_the_token_and_its_status_is_ours(runs, apis, name):
    script = "echo $QUIPU_FENCE > fence; echo $QUIPU_LOCK $QUIPU_SEQUENCER; while [ ! -e go ]; do sleep 0.05; done; exit 7"
    run = runs.start(name, script, "--owner", "ann", "--value", "at home", "--ttl", "5s")
    token = int(runs.wait_for("fence"))
    assert apis[0].held(name, token)
    (holder,) = apis[1].get(lock(name))["holders"]
    assert (holder["owner"], holder["value"], holder["ttl_ms"]) == ("ann", "at home", 5000)
    (runs.folder / "go").touch()
    assert ended(run) == 7
    assert run.out == f"{name} {name}@{token}\n"
    assert is_free(apis[2], name), "it is released at the end"


@pytest.mark.parametrize("script, status", [("exit 0", 0), ("exit 75", 75), ("kill -9 $$", 137), ("kill -15 $$", 143)])
def test_a_command_that_ends_has_a_status(runs, name, script, status):
    assert ended(runs.start(name, script)) == status


@pytest.mark.parametrize("command, status", [("/no/such/command", 127), ("/etc/passwd", 126)])
def test_what_cannot_be_run_is_told_as_a_shell_does(runs, apis, name, command, status):
    run = runs.start_command([binary(), "lock", "run", name, "--", command])
    assert ended(run) == status
    assert command in run.said
    assert is_free(apis[0], name)


def test_a_lock_that_is_not_to_be_had(runs, apis, name):
    token = apis[0].acquire(name, "somebody")["token"]
    run = runs.start(name, "touch ran", "--no-wait")
    assert ended(run) == NOT_ACQUIRED
    assert "somebody" in run.said
    began = time.monotonic()
    assert ended(runs.start(name, "touch ran", "--wait", "700ms")) == NOT_ACQUIRED
    assert 0.7 <= time.monotonic() - began < 0.7 + SLACK
    assert not (runs.folder / "ran").exists()
    assert apis[0].waiting(name) == 0
    assert apis[0].held(name, token)


def test_a_long_wait_does_not_shorten_what_is_held(runs, apis, name):
    """The deadline counts from before the request, which may be long before the grant: it is renewed first."""
    token = apis[0].acquire(name, "somebody", ttl_ms=30_000)["token"]
    run = runs.start(name, "sleep 2.5; exit 3", "--ttl", "1500ms")
    apis[0].wait_for_waiters(name, 1)
    time.sleep(2.5)
    apis[0].release(name, token)
    assert ended(run) == 3, run.said


def test_who_is_told_to_end_leaves_the_queue(runs, apis, name):
    apis[0].acquire(name, "somebody")
    run = runs.start(name, "true")
    apis[0].wait_for_waiters(name, 1)
    run.send_signal(signal.SIGTERM)
    assert ended(run) == 128 + signal.SIGTERM
    apis[0].wait_for_waiters(name, 0)


def test_it_is_renewed_for_as_long_as_the_command_takes(runs, apis, name):
    run = runs.start(name, "echo $QUIPU_FENCE > fence; sleep 4", "--ttl", "1s")
    token = int(runs.wait_for("fence"))
    while run.poll() is None:
        held, over = apis[0].held(name, token), run.poll() is not None
        assert held or over
        time.sleep(0.2)
    assert ended(run) == 0, run.said


def test_a_command_whose_lock_is_taken_is_told_to_end_and_all_it_has_started(runs, apis, name):
    script = f"trap 'echo told > told; exit 3' TERM; {FAMILY}"
    run = runs.start(name, script, "--ttl", "3s")
    pids = family(runs)
    apis[0].ask("POST", f"{lock(name)}/evict", {})
    evicted = time.monotonic()
    assert ended(run) == LOST
    assert time.monotonic() - evicted < 1 + SLACK, "a renewal is due every third of the TTL"
    assert (runs.folder / "told").exists()
    assert not any(map(alive, pids))
    assert "not-held" in run.said


def test_a_command_that_will_not_end_is_killed(runs, apis, name):
    run = runs.start(name, f"trap '' TERM; {FAMILY}", "--ttl", "1500ms", "--grace", "700ms")
    pids = family(runs)
    apis[0].ask("POST", f"{lock(name)}/evict", {})
    evicted = time.monotonic()
    assert ended(run) == LOST
    assert 0.7 <= time.monotonic() - evicted < 0.5 + 0.7 + SLACK
    assert not any(map(alive, pids))


def test_a_lock_lost_just_before_the_end_is_not_kept_quiet(runs, apis, name):
    run = runs.start(name, "echo x > ready; while [ ! -e go ]; do sleep 0.05; done", "--ttl", "60s")
    runs.wait_for("ready")
    apis[0].ask("POST", f"{lock(name)}/evict", {})
    (runs.folder / "go").touch()
    assert ended(run) == LOST
    assert "lost before the command ended with status 0" in run.said


def test_a_holder_that_was_paused_past_its_ttl_finds_out(runs, apis, name):
    run = runs.start(name, f"echo $QUIPU_FENCE > fence; {FAMILY}", "--ttl", "1s")
    token, pids = int(runs.wait_for("fence")), family(runs)
    for process in [run.pid, *pids]:
        os.kill(process, signal.SIGSTOP)
    # Whoever comes next is let in, and the store has heard of it.
    later = apis[1].acquire(name, "the next one", wait_ms=15_000)["token"]
    assert later > token
    fence = f"/v1/fences/{name}/check"
    assert apis[1].ask("POST", fence, {"token": later})["minimum"] == later
    for process in [*pids, run.pid]:
        os.kill(process, signal.SIGCONT)
    refused = apis[2].request("POST", fence, {"token": token})
    assert refused.problem == "stale", "what it writes before it notices is refused"
    assert ended(run) == LOST
    assert not any(map(alive, pids))
    assert apis[0].held(name, later), "the next one is not disturbed"


def test_runs_of_one_lock_never_overlap(runs, name):
    script = "mkdir inside || echo overlap >> wrong; echo $QUIPU_FENCE >> order; sleep 0.15; rmdir inside || echo overlap >> wrong"
    started = [runs.start(name, script, "--ttl", "2s") for _ in range(8)]
    assert [ended(run, 40) for run in started] == [0] * 8
    assert not (runs.folder / "wrong").exists()
    order = [int(line) for line in (runs.folder / "order").read_text().split()]
    assert len(order) == 8 and order == sorted(set(order)), order


def test_a_semaphore_lets_so_many_run_and_no_more(runs, apis, name):
    script = "mktemp -p . inside.XXXXXX > /dev/null; while [ ! -e go ]; do sleep 0.05; done"
    started = [runs.start(name, script, "--permits", "2") for _ in range(3)]
    apis[0].wait_for_waiters(name, 1)
    wait_until(lambda: len(list(runs.folder.glob("inside.*"))) == 2, 10, "two to be inside")
    time.sleep(0.5)
    assert len(list(runs.folder.glob("inside.*"))) == 2
    (runs.folder / "go").touch()
    assert [ended(run) for run in started] == [0, 0, 0]


def test_a_command_dies_with_a_killed_quipu_and_the_lock_is_free_after_its_ttl(runs, apis, name):
    run = runs.start(name, f"trap '' TERM HUP INT; {FAMILY}", "--ttl", "1500ms")
    pids = family(runs)
    run.kill()
    killed = time.monotonic()
    wait_until(lambda: not any(map(alive, pids)), 5, "the command to die")
    apis[0].acquire(name, "the next one", wait_ms=15_000)
    assert time.monotonic() - killed < 1.5 + SLACK


def test_signals_are_the_command_s(runs, apis, name):
    script = "trap 'exit 4' TERM; trap 'echo again > again' USR1; echo x > ready; while :; do sleep 0.05; done"
    run = runs.start(name, script)
    runs.wait_for("ready")
    # Not SIGHUP: whoever runs these tests under nohup has it ignored, and so has the command then.
    run.send_signal(signal.SIGUSR1)
    runs.wait_for("again")
    run.send_signal(signal.SIGTERM)
    assert ended(run) == 4
    assert is_free(apis[0], name)


def test_a_lock_outlives_its_leader(own_cluster, own_runs, name):
    """The node that is asked dies, and so does the leader: the next ones renew, and the leader's successor knows."""
    leader = own_cluster.leader()
    first = [f"http://{own_cluster.http(leader)}"]
    others = [f"http://{own_cluster.http(node)}" for node in own_cluster.nodes if node is not leader]
    script = "echo $QUIPU_FENCE > fence; while [ ! -e go ]; do sleep 0.05; done; exit 5"
    run = own_runs.start(name, script, "--ttl", "6s", nodes=",".join(first + others))
    token = int(own_runs.wait_for("fence"))
    own_cluster.kill(leader)
    api = Api(own_cluster.http(own_cluster.leader()))
    time.sleep(7)
    assert run.poll() is None and api.held(name, token), "it was renewed past its TTL"
    (own_runs.folder / "go").touch()
    assert ended(run) == 5, run.said
    assert is_free(api, name)


def test_who_waits_goes_on_waiting_when_its_node_dies(own_cluster, own_runs, name):
    dies, lives = own_cluster.followers()
    api = Api(own_cluster.http(lives))
    token = api.acquire(name, "somebody", ttl_ms=60_000)["token"]
    nodes = ",".join(f"http://{own_cluster.http(node)}" for node in (dies, lives))
    run = own_runs.start(name, "exit 6", nodes=nodes)
    api.wait_for_waiters(name, 1)
    own_cluster.kill(dies)
    time.sleep(1)
    assert run.poll() is None, run.communicate()
    api.release(name, token)
    assert ended(run) == 6


def test_who_waits_at_a_node_that_hangs_waits_elsewhere(own_cluster, own_runs, name):
    hangs, lives = own_cluster.followers()
    api = Api(own_cluster.http(lives))
    token = api.acquire(name, "somebody", ttl_ms=120_000)["token"]
    nodes = ",".join(f"http://{own_cluster.http(node)}" for node in (hangs, lives))
    run = own_runs.start(name, "exit 6", nodes=nodes)
    api.wait_for_waiters(name, 1)
    own_cluster.pause(hangs)
    try:
        time.sleep(1)
        api.release(name, token)
        assert ended(run, 60) == 6
    finally:
        own_cluster.resume(hangs)
