"""Three real nodes for all tests that leave them whole, and three of its own for each test that hurts them."""

import sys
import uuid
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from harness.api import Api  # noqa: E402
from harness.gates import wait_for_locks  # noqa: E402
from harness.quipu import Nodes  # noqa: E402


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


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    item.has_failed = getattr(item, "has_failed", False) or report.failed
