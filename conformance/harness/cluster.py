"""What every cluster offers to a test, whoever makes it."""

import shutil
import signal
import socket
import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

from .process import Child, wait_until


class Node:
    """One server: where clients reach it, and its process."""

    def __init__(self, number: int, host: str, port: int):
        self.number = number
        self.host = host
        self.port = port
        self.child: Child | None = None
        # Where clients must speak TLS: how.
        self.context: ssl.SSLContext | None = None

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def running(self) -> bool:
        return self.child is not None and self.child.running

    def word(self, letters: str, timeout: float = 2.0) -> str:
        """Asks one four-letter word; returns an empty string when nobody answers."""
        try:
            with self.connect(timeout) as connection:
                connection.sendall(letters.encode())
                answer = b""
                while chunk := connection.recv(65536):
                    answer += chunk
                return answer.decode(errors="replace")
        except OSError:
            return ""

    def connect(self, timeout: float) -> socket.socket:
        """A connection as a client would make it."""
        plain = socket.create_connection((self.host, self.port), timeout)
        return self.context.wrap_socket(plain, server_hostname=self.host) if self.context else plain

    def mode(self) -> str | None:
        """`leader`, `follower`, `observer` or `standalone`; None while it does not serve."""
        for line in self.word("srvr").splitlines():
            if line.startswith("Mode:"):
                return line.split(":")[1].strip()
        return None


class Cluster(ABC):
    """A few nodes that can be started, stopped and hurt one by one. `nodes` is in the order of their ids."""

    nodes: list[Node]
    name: str
    directory: str
    # Set when a test failed: then its logs and data stay for whoever looks into it.
    keep = False
    # Words before a node's command, such as those that choose a network namespace.
    prefix: Callable[[Node], list[str]] = staticmethod(lambda node: [])

    @abstractmethod
    def launch(self, node: Node) -> None:
        """Starts the process of one node and returns at once."""

    @property
    def hosts(self) -> str:
        return ",".join(node.address for node in self.nodes)

    def start(self, seconds: float = 60) -> "Cluster":
        for node in self.nodes:
            if not node.running:
                self.launch(node)
        self.wait_ready(seconds)
        return self

    def stop(self) -> None:
        for node in self.nodes:
            if node.child:
                node.child.stop()

    def wait_ready(self, seconds: float = 60) -> None:
        """Returns when exactly one running node leads and all the others follow."""
        running = [node for node in self.nodes if node.running]

        def settled():
            dead = [node for node in running if not node.running]
            if dead:
                raise RuntimeError(f"node {dead[0].number} ended:\n{dead[0].child.log_tail()}")
            modes = [node.mode() for node in running]
            return None not in modes and modes.count("leader") + modes.count("standalone") == 1

        wait_until(settled, seconds, f"{self.name} on {self.hosts} to be ready")

    def leader(self, seconds: float = 30) -> Node:
        def find():
            return next((n for n in self.nodes if n.running and n.mode() in ("leader", "standalone")), None)

        return wait_until(find, seconds, f"a leader of {self.name}")

    def followers(self) -> list[Node]:
        leader = self.leader()
        return [node for node in self.nodes if node.running and node is not leader]

    def kill(self, node: Node) -> float:
        """kill -9; returns the moment on the monotonic clock."""
        node.child.kill()
        return time.monotonic()

    def pause(self, node: Node) -> None:
        node.child.signal(signal.SIGSTOP)

    def resume(self, node: Node) -> None:
        node.child.signal(signal.SIGCONT)

    def restart(self, node: Node) -> None:
        """Starts a stopped node again on its old data."""
        assert not node.running, f"node {node.number} still runs"
        self.launch(node)

    def __enter__(self):
        return self.start()

    def __exit__(self, failure, *_):
        self.stop()
        if failure or self.keep:
            print(f"  logs and data are kept in {self.directory}", flush=True)
        else:
            shutil.rmtree(self.directory, ignore_errors=True)


def free_port_offset(base_ports: list[int], start: int = 20000, step: int = 50) -> int:
    """An offset K such that every base port + K can be bound now."""
    for offset in range(start, 40000, step):
        if all(_is_free(port + offset) for port in base_ports):
            return offset
    raise RuntimeError("no free port range on loopback")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the servers do: without it a port in TIME_WAIT would count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
