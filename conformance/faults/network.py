"""A network of our own: one namespace for each host, a switch between them, and cables that can be cut.

Nothing of it is visible outside: the switch has a namespace too, and no host has a way out. Cutting is silent, as in
life: packets go to a hardware address that nobody has.
"""

import ctypes
import os
import subprocess
import uuid
from contextlib import contextmanager

NOWHERE = "02:00:00:00:ff:ff"
_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000


def available() -> bool:
    """Whether we may make namespaces, and have the command that does."""
    probe = f"quipu-probe-{uuid.uuid4().hex[:6]}"
    try:
        made = subprocess.run(["ip", "netns", "add", probe], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False
    if made:
        ip("netns", "del", probe)
    return made


class Network:
    """Hosts 1 to `size`, each in a namespace, at 10.77.0.1 and up; made on entering, gone on leaving."""

    def __init__(self, size: int):
        self.name = f"quipu-{uuid.uuid4().hex[:6]}"
        self.hosts = range(1, size + 1)

    def address(self, host: int) -> str:
        return f"10.77.0.{host}"

    def namespace(self, host: int) -> str:
        return f"{self.name}-{host}"

    def __enter__(self) -> "Network":
        ip("netns", "add", self._switch)
        ip("-n", self._switch, "link", "add", "switch", "type", "bridge")
        ip("-n", self._switch, "link", "set", "switch", "up")
        for host in self.hosts:
            self._plug_in(host)
        return self

    def __exit__(self, *_) -> None:
        for name in [*map(self.namespace, self.hosts), self._switch]:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)

    def cut(self, one: int, other: int) -> None:
        """From now on nothing passes between the two, in either direction."""
        self.cut_one_way(one, other)
        self.cut_one_way(other, one)

    def cut_one_way(self, sender: int, receiver: int) -> None:
        neighbour = [self.address(receiver), "lladdr", NOWHERE, "dev", "cable", "nud", "permanent"]
        ip("-n", self.namespace(sender), "neigh", "replace", *neighbour)

    def isolate(self, host: int, but: list[int] | None = None) -> None:
        """Cuts a host from all others, but for those in `but`."""
        for other in self.hosts:
            if other != host and other not in (but or []):
                self.cut(host, other)

    def heal(self) -> None:
        for host in self.hosts:
            for other in self.hosts:
                if host != other:
                    entry = [self.address(other), "dev", "cable"]
                    # Absent where nothing was cut and nothing was ever sent.
                    subprocess.run(["ip", "-n", self.namespace(host), "neigh", "del", *entry], capture_output=True)

    @contextmanager
    def inside(self, host: int):
        """This thread, and those it starts, send and receive as that host."""
        with open("/proc/thread-self/ns/net") as outside, open(f"/run/netns/{self.namespace(host)}") as namespace:
            _enter(namespace.fileno())
            try:
                yield
            finally:
                _enter(outside.fileno())

    @property
    def _switch(self) -> str:
        return f"{self.name}-switch"

    def _plug_in(self, host: int) -> None:
        namespace, port = self.namespace(host), f"port-{host}"
        ip("netns", "add", namespace)
        ip("-n", self._switch, "link", "add", port, "type", "veth", "peer", "name", "cable", "netns", namespace)
        ip("-n", self._switch, "link", "set", port, "master", "switch", "up")
        ip("-n", namespace, "address", "add", f"{self.address(host)}/24", "dev", "cable")
        for link in ("cable", "lo"):
            ip("-n", namespace, "link", "set", link, "up")


def ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
