"""Runs a command beside three fresh nodes: it finds their addresses in ZOOKEEPER_HOSTS, their maker in ZOOKEEPER_SERVERS.

    python -m harness.serve quipu -- cargo test -p quipu-conformance
    python -m harness.serve reference -- python -m pytest clients
    python -m harness.serve 10.0.0.1:2181,10.0.0.2:2181 -- ...        # servers that someone else runs
"""

import os
import subprocess
import sys

from .quipu import Dev
from .reference import Reference


def main(arguments: list[str]) -> int:
    servers, separator, *command = arguments
    assert separator == "--" and command, __doc__
    if servers not in ("quipu", "reference"):
        return _run(command, "external", servers)
    with (Dev if servers == "quipu" else Reference)() as cluster:
        return _run(command, servers, cluster.hosts)


def _run(command: list[str], servers: str, hosts: str) -> int:
    return subprocess.call(command, env={**os.environ, "ZOOKEEPER_HOSTS": hosts, "ZOOKEEPER_SERVERS": servers})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
