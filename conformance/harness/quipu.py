"""Our own nodes, started the way a user starts them."""

import os
import tempfile
from pathlib import Path

from .cluster import Cluster, Node, free_port_offset
from .process import Child, wait_until
from .reference import SUPER_DIGEST

ROOT = Path(__file__).resolve().parents[2]
_CLIENT_PORTS, _PEER_PORTS, _HTTP_PORTS = 2181, 7181, 8181


def binary() -> str:
    """The release binary under test; QUIPU_BINARY names another one."""
    return os.environ.get("QUIPU_BINARY") or str(_target_folder() / "release" / "quipu")


class Dev(Cluster):
    """`quipu dev`: one command, several processes, as on a developer's desk."""

    name = "quipu dev"

    def __init__(self, size: int = 3, directory: str | None = None):
        self.directory = directory or tempfile.mkdtemp(prefix="quipu-test-")
        self.offset = _offset(size)
        self.nodes = [Node(number + 1, "127.0.0.1", _CLIENT_PORTS + number + self.offset) for number in range(size)]
        self.child: Child | None = None

    def start(self, seconds: float = 30) -> "Dev":
        log = os.path.join(self.directory, "dev.log")
        size = str(len(self.nodes))
        arguments = ["dev", "--nodes", size, "--data", self.directory, "--port-offset", str(self.offset)]
        self.child = Child([binary(), *arguments], log)
        for node in self.nodes:
            node.child = self.child
        wait_until(self._said_ready, seconds, "the line that starts with «ready»")
        self.wait_ready(seconds)
        return self

    def launch(self, node: Node) -> None:
        raise NotImplementedError("quipu dev starts all of its nodes; use Nodes to hurt single ones")

    def stop(self) -> None:
        if self.child:
            self.child.stop()

    def node_pids(self) -> list[int]:
        """The processes of the nodes, from the pid file each of them leaves in its folder."""
        return [int(Path(self.directory, f"node-{n.number}", "pid").read_text()) for n in self.nodes]

    def _said_ready(self) -> bool:
        if not self.child.running:
            raise RuntimeError(f"quipu dev ended:\n{self.child.log_tail()}")
        with open(self.child.log_path, errors="replace") as log:
            return any(line.startswith("ready") for line in log)


class Nodes(Cluster):
    """`quipu start --config node.toml` once for each node, so that a test can hurt any one of them.

    `addresses` gives each node a host of its own; by default all are on loopback. `founders` is how many of them
    found the cluster; the others wait to be added. `settings` is more of each node's configuration, in TOML.
    """

    name = "quipu"

    def __init__(self, size: int = 3, addresses: list[str] | None = None, founders: int | None = None, settings: str = ""):
        self.directory = tempfile.mkdtemp(prefix="quipu-test-")
        self.settings = settings
        self.offset = 0 if addresses else _offset(size)
        # Beyond loopback, in a network of the test's own, anybody may come in.
        self.is_open = addresses is not None
        hosts = addresses or ["127.0.0.1"] * size
        self.nodes = [Node(n + 1, host, _CLIENT_PORTS + n + self.offset) for n, host in enumerate(hosts)]
        self.founders = self.nodes[: founders or size]
        for node in self.nodes:
            self.folder(node).mkdir()
            self.configuration(node).write_text(self._settings(node))

    def start(self, seconds: float = 30) -> "Nodes":
        for node in self.founders:
            if not node.running:
                self.launch(node)
        self.wait_ready(seconds)
        return self

    def launch(self, node: Node) -> None:
        command = [self.program(node), "start", "--config", str(self.configuration(node))]
        node.child = Child([*self.prefix(node), *command], self.log(node))

    def program(self, node: Node) -> str:
        """What to run; a cluster of several versions runs several."""
        return binary()

    def folder(self, node: Node) -> Path:
        return Path(self.directory, f"node-{node.number}")

    def configuration(self, node: Node) -> Path:
        return self.folder(node) / "node.toml"

    def data(self, node: Node) -> Path:
        return self.folder(node) / "data"

    def log(self, node: Node) -> str:
        return os.path.join(self.directory, f"node-{node.number}.log")

    def peer(self, node: Node) -> str:
        return f"{node.host}:{_PEER_PORTS + node.number - 1 + self.offset}"

    def http(self, node: Node) -> str:
        return f"{node.host}:{_HTTP_PORTS + node.number - 1 + self.offset}"

    def _settings(self, node: Node) -> str:
        own = f'[node]\ncluster = "faults"\ndata_dir = "{self.data(node)}"\n{self._addresses(node)}'
        found = "".join(f"[[member]]\n{self._addresses(member)}" for member in self.founders)
        doors = "[doors]\nopen_beyond_loopback_without_authentication = true\n" if self.is_open else ""
        zookeeper = f'[zookeeper]\nsuper_digest = "{SUPER_DIGEST}"\n'
        return own + (found if node in self.founders else "") + doors + zookeeper + self.settings

    def _addresses(self, node: Node) -> str:
        return f'id = {node.number}\npeer = "{self.peer(node)}"\nclient = "{node.address}"\nhttp = "{self.http(node)}"\n'


def available() -> bool:
    return os.path.exists(binary())


def _offset(size: int) -> int:
    return free_port_offset([base + n for base in (_CLIENT_PORTS, _PEER_PORTS, _HTTP_PORTS) for n in range(size)])


def _target_folder() -> Path:
    return Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
