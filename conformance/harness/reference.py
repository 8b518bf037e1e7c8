"""Three nodes of Debian's ZooKeeper: what a test must pass on before it may judge us."""

import os
import tempfile

from .cluster import Cluster, Node, free_port_offset
from .process import Child

JAR = "/usr/share/java/zookeeper.jar"
SUPER_DIGEST = "super:D/InIHSb7yEEbrWz8b9l71RjZJU="  # The password is `test`, as kazoo's suite expects.
_CLIENT_PORTS, _QUORUM_PORTS, _ELECTION_PORTS = 2181, 2888, 3888


class Reference(Cluster):
    """ZooKeeper with what its tests need: reconfiguration, every four-letter word, container and TTL nodes."""

    name = "ZooKeeper"

    def __init__(self, size: int = 3, addresses: list[str] | None = None):
        if not available():
            raise FileNotFoundError(f"{JAR} is missing: apt-get install zookeeper")
        self.directory = tempfile.mkdtemp(prefix="zookeeper-reference-")
        ports = [base + number for base in (_CLIENT_PORTS, _QUORUM_PORTS, _ELECTION_PORTS) for number in range(size)]
        self.offset = 0 if addresses else free_port_offset(ports)
        hosts = addresses or ["127.0.0.1"] * size
        self.nodes = [Node(n + 1, host, _CLIENT_PORTS + n + self.offset) for n, host in enumerate(hosts)]
        for node in self.nodes:
            self._write_configuration(node)

    def launch(self, node: Node) -> None:
        folder = self._folder(node)
        arguments = [
            "java", "-Xmx256m", "-Djava.awt.headless=true", "-Dfile.encoding=UTF-8",
            "-Dzookeeper.admin.enableServer=false",
            f"-Dlog4j.configuration=file:{folder}/log4j.properties",
            f"-Dzookeeper.DigestAuthenticationProvider.superDigest={SUPER_DIGEST}",
            "-cp", JAR, "org.apache.zookeeper.server.quorum.QuorumPeerMain", f"{folder}/zoo.cfg",
        ]
        node.child = Child([*self.prefix(node), *arguments], f"{folder}/log")

    def _folder(self, node: Node) -> str:
        return os.path.join(self.directory, f"node-{node.number}")

    def _write_configuration(self, node: Node) -> None:
        folder = self._folder(node)
        os.makedirs(f"{folder}/data", exist_ok=True)
        servers = "\n".join(self._server_line(index, peer) for index, peer in enumerate(self.nodes))
        _write(f"{folder}/data/myid", str(node.number))
        _write(f"{folder}/servers.dynamic", servers)
        _write(f"{folder}/log4j.properties", _LOGGING)
        _write(f"{folder}/zoo.cfg", _SETTINGS.format(folder=folder))

    def _server_line(self, index: int, node: Node) -> str:
        quorum, election = _QUORUM_PORTS + index + self.offset, _ELECTION_PORTS + index + self.offset
        return f"server.{node.number}={node.host}:{quorum}:{election}:participant;{node.address}"


def available() -> bool:
    return os.path.exists(JAR)


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text + "\n")


# Debian's own defaults for the ticks; the rest is what kazoo's harness sets for the servers it starts itself.
_SETTINGS = """tickTime=2000
initLimit=10
syncLimit=5
dataDir={folder}/data
dynamicConfigFile={folder}/servers.dynamic
standaloneEnabled=false
reconfigEnabled=true
extendedTypesEnabled=true
maxClientCnxns=0
4lw.commands.whitelist=*"""

_LOGGING = """log4j.rootLogger=WARN, CONSOLE
log4j.appender.CONSOLE=org.apache.log4j.ConsoleAppender
log4j.appender.CONSOLE.layout=org.apache.log4j.PatternLayout
log4j.appender.CONSOLE.layout.ConversionPattern=%d{ISO8601} %-5p %c{1} %m%n"""
