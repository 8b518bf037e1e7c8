"""Three real nodes for all tests that leave them whole, and three of its own for each test that hurts them."""

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from harness.api import Api  # noqa: E402
from harness.gates import wait_for_locks  # noqa: E402
from harness.quipu import Nodes, binary  # noqa: E402


@pytest.fixture(scope="session")
def cluster():
    with Nodes() as cluster:
        wait_for_locks(apis_of(cluster))
        yield cluster


@pytest.fixture
def own_cluster(request):
    with Nodes() as cluster:
        wait_for_locks(apis_of(cluster))
        yield cluster
        cluster.keep = request.node.has_failed


def apis_of(cluster: Nodes) -> list[Api]:
    return [Api(cluster.http(node)) for node in cluster.nodes]


@pytest.fixture(params=["leader", "follower"])
def api(request, cluster) -> Api:
    """A node that decides, and one that has to ask it."""
    node = cluster.leader() if request.param == "leader" else cluster.followers()[0]
    return Api(cluster.http(node))


@pytest.fixture
def apis(cluster) -> list[Api]:
    return apis_of(cluster)


@pytest.fixture
def name() -> str:
    """A name of this test's own."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def quipu(cluster, tmp_path):
    """Runs a command to its end."""
    nodes = ",".join(f"http://{cluster.http(node)}" for node in cluster.nodes)

    def run(*arguments: str, status: int = 0) -> str:
        environment = {**os.environ, "QUIPU_NODES": nodes}
        done = subprocess.run(
            [binary(), *arguments], cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60,
        )
        assert done.returncode == status, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        assert "\x1b" not in done.stdout + done.stderr, "colours are for terminals"
        return done.stdout if status == 0 else done.stderr

    run.nodes = nodes
    run.folder = tmp_path
    return run


@pytest.fixture
def watch(quipu):
    """Starts a command that prints lines for as long as it is let; its lines so far."""
    started = []

    def start(*arguments: str):
        path = quipu.folder / f"watch-{len(started)}"
        with open(path, "wb") as out:
            environment = {**os.environ, "QUIPU_NODES": quipu.nodes}
            child = subprocess.Popen([binary(), *arguments], env=environment, stdout=out, stderr=subprocess.DEVNULL)
        started.append(child)
        return lambda: path.read_text().splitlines()

    yield start
    for child in started:
        child.send_signal(signal.SIGTERM)
        child.wait(10)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    item.has_failed = getattr(item, "has_failed", False) or report.failed
