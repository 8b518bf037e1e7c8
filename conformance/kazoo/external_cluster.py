"""A pytest plugin: kazoo's own suite against servers that it does not manage.

kazoo's harness starts ZooKeeper itself. This plugin puts the servers named by ZOOKEEPER_HOSTS in the place of
`kazoo.testing.harness.get_global_cluster`; a test that needs to stop a server, or TLS, is skipped with that reason.
"""

import os
import signal
import sys
import types

import pytest

TEARDOWN_SECONDS = 20


class Server:
    running = True

    def __init__(self, address: str):
        self.address = address
        self.client_port = int(address.rsplit(":", 1)[1])

    @property
    def secure_address(self):
        pytest.skip("needs TLS between client and server")

    def stop(self):
        pytest.skip("stops a server")

    run = stop

    def get_logs(self, num_lines=100):
        return []


class Servers(list):
    def start(self):
        """They run already."""

    stop = terminate = reset = start

    def get_logs(self):
        return []

    def get_ssl_client_configuration(self):
        pytest.skip("needs TLS between client and server")


def _replace_harness():
    # The harness imports this module, which wants OpenSSL and a Java key store only to start servers.
    common = types.ModuleType("kazoo.testing.common")
    common.ZookeeperCluster = Servers
    sys.modules["kazoo.testing.common"] = common
    import kazoo.testing.harness as harness

    servers = Servers(Server(address) for address in os.environ["ZOOKEEPER_HOSTS"].split(","))
    harness.get_global_cluster = lambda: servers
    harness.KazooTestHarness.teardown_zookeeper = _limited(harness.KazooTestHarness.teardown_zookeeper)


def _limited(teardown):
    """A client whose request is never answered waits for it for ever when it is stopped; the suite must go on."""

    def limited(self):
        def give_up(*_):
            raise TimeoutError(f"a client did not stop within {TEARDOWN_SECONDS} s")

        before = signal.signal(signal.SIGALRM, give_up)
        signal.alarm(TEARDOWN_SECONDS)
        try:
            teardown(self)
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)

    return limited


# Some tests look at the version before they choose what to expect.
os.environ.setdefault("ZOOKEEPER_VERSION", "3.8.0")
_replace_harness()


def pytest_collection_modifyitems(items):
    for item in items:
        # It stops servers from threads of its own, where a skip would not be noticed.
        if "TestReadOnlyMode" in item.nodeid:
            item.add_marker(pytest.mark.skip(reason="stops servers to see read-only mode"))
