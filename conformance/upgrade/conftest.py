"""Clients of faults/ are under way while nodes change their version."""

import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "faults")]

import previous  # noqa: E402
from load import stop_all  # noqa: E402


@pytest.fixture(scope="session")
def old_binary() -> str:
    try:
        return str(previous.binary())
    except previous.Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture(autouse=True)
def no_client_outlives_its_test():
    yield
    stop_all()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    item.has_failed = getattr(item, "has_failed", False) or report.failed
