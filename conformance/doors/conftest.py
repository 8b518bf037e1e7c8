"""Nodes behind doors. Whatever a test does, no secret may end up in a log."""

import pytest

from harness.secure import SecureNodes

# Short enough for a test to wait for; a slow client has its second on every port.
SHORT = """
[limits]
handshake_ms = 1000
connections = 1000

[http]
header_ms = 1000
body_ms = 1000
idle_ms = 2000
connections = 300
connections_per_address = 0
max_body_bytes = 65536
"""


@pytest.fixture(scope="module")
def cluster():
    """Three nodes with mutual TLS for clients too."""
    with SecureNodes() as cluster:
        yield cluster
        cluster.check_logs()


@pytest.fixture(scope="module")
def lone():
    """One node with short limits, whose ZooKeeper clients need no certificate."""
    with SecureNodes(1, more='client = "tls"\n', limits=SHORT) as lone:
        yield lone
        lone.check_logs()


@pytest.fixture
def own():
    """Makes clusters of a test's own."""
    made = []

    def make(*arguments, **named):
        made.append(SecureNodes(*arguments, **named))
        return made[-1]

    yield make
    for cluster in made:
        try:
            cluster.check_logs()
        finally:
            cluster.stop()
