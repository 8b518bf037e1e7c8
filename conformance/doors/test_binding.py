"""Nothing listens beyond loopback without its doors, unless that is wanted in so many words."""

import subprocess

import pytest

from harness.process import Child, wait_until
from harness.quipu import Nodes, binary

KEYS = ("peer", "client", "http")


@pytest.fixture
def node():
    """A node in the open, and its configuration."""
    cluster = Nodes(1)
    yield cluster, cluster.configuration(cluster.nodes[0])
    cluster.stop()


def rebind(configuration, key: str, host: str = "0.0.0.0") -> None:
    head, rest = configuration.read_text().split("[[member]]", 1)
    lines = [line.replace("127.0.0.1", host) if line.startswith(f"{key} =") else line for line in head.splitlines()]
    configuration.write_text("\n".join(lines) + "\n[[member]]" + rest)


def start(configuration, *more: str) -> subprocess.CompletedProcess:
    command = [binary(), "start", "--config", str(configuration), *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=20)


@pytest.mark.parametrize("key", KEYS)
def test_an_open_door_beyond_loopback_is_refused(node, key):
    _, configuration = node
    rebind(configuration, key)
    done = start(configuration)
    assert done.returncode == 1
    for told in (f"node.{key} = ", "quipu certs init", "open_beyond_loopback_without_authentication = true"):
        assert told in done.stderr, done.stderr
    checked = subprocess.run([binary(), "config", "check", str(configuration)], capture_output=True, text=True)
    assert checked.returncode == 1 and f"node.{key}" in checked.stderr


@pytest.mark.parametrize("how", ["flag", "configuration"])
def test_it_opens_when_that_is_said_in_so_many_words(node, how):
    cluster, configuration = node
    for key in KEYS:
        rebind(configuration, key)
    command = [binary(), "start", "--config", str(configuration)]
    if how == "flag":
        command.append("--open-beyond-loopback-without-authentication")
    else:
        with open(configuration, "a") as file:
            file.write("[doors]\nopen_beyond_loopback_without_authentication = true\n")
    lone = cluster.nodes[0]
    lone.child = Child(command, cluster.log(lone))
    wait_until(lambda: lone.mode() == "standalone" or lone.mode() == "leader", 20, "it to serve")


def test_it_opens_with_certificates_and_tokens(own):
    cluster = own(1)
    configuration = cluster.configuration(cluster.nodes[0])
    for key in KEYS:
        rebind(configuration, key)
    cluster.start()
    wait_until(lambda: cluster.ask("GET", "/ready")[0] == 200, 10, "it to be ready")


def test_a_configuration_that_lacks_its_tokens_is_refused(own):
    cluster = own(1)
    configuration = cluster.configuration(cluster.nodes[0])
    rebind(configuration, "http")
    text = configuration.read_text()
    configuration.write_text(text.split("[[token]]")[0])
    done = start(configuration)
    assert done.returncode == 1 and "there is no [[token]]" in done.stderr, done.stderr
