"""Three real processes a test. FAULTS_AGAINST=reference hurts Debian's ZooKeeper instead, to validate the tests."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from harness.quipu import Nodes  # noqa: E402
from harness.reference import Reference  # noqa: E402
from load import stop_all  # noqa: E402


@pytest.fixture(autouse=True)
def no_client_outlives_its_test():
    yield
    stop_all()


@pytest.fixture
def new_cluster():
    return Reference if os.environ.get("FAULTS_AGAINST") == "reference" else Nodes


@pytest.fixture
def cluster(new_cluster, request):
    print(f"\n{request.node.name}:", flush=True)
    with new_cluster() as cluster:
        yield cluster
        cluster.keep = request.node.has_failed


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    item.has_failed = getattr(item, "has_failed", False) or report.failed


@pytest.fixture
def ours():
    """For faults that need to know the files or the commands of the server."""
    if os.environ.get("FAULTS_AGAINST") == "reference":
        pytest.skip("is about our own files and commands")
