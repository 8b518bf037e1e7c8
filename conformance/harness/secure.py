"""Nodes behind doors: TLS everywhere, mutual between nodes, a token of each role, made by our own commands."""

import http.client
import json
import ssl
import subprocess
from pathlib import Path

from .cluster import Node
from .process import wait_until
from .quipu import Nodes, binary

CLUSTER = "faults"
ROLES = ("read", "write", "admin")


class Certificates:
    """A folder with an authority, `size` nodes' certificates and those of clients, as `quipu certs` makes them."""

    def __init__(self, folder: Path, size: int = 3, clients: tuple[str, ...] = ("app",), cluster: str = CLUSTER):
        self.folder = folder
        named = [word for client in clients for word in ("--client", client)]
        command = ["certs", "init", str(folder), "--nodes", str(size), "--cluster", cluster, *named]
        subprocess.run([binary(), *command], check=True, capture_output=True, text=True)

    @property
    def authority(self) -> str:
        return str(self.folder / "ca.pem")

    def pair(self, holder: str) -> tuple[str, str]:
        """The files of a certificate and its key; the holder is `node-1` or `client-app`."""
        return str(self.folder / f"{holder}.pem"), str(self.folder / f"{holder}.key")

    def section(self, holder: str) -> str:
        certificate, key = self.pair(holder)
        return f'[tls]\ncertificate = "{certificate}"\nkey = "{key}"\nca = "{self.authority}"\n'

    def context(self, holder: str | None = None) -> ssl.SSLContext:
        """How a client speaks that trusts the authority, and shows a certificate if `holder` is given."""
        context = ssl.create_default_context(cafile=self.authority)
        if holder:
            context.load_cert_chain(*self.pair(holder))
        return context

    def secrets(self) -> list[str]:
        """A line of each private key: none may stand anywhere else."""
        return [path.read_text().splitlines()[1] for path in self.folder.glob("*.key")]


class SecureNodes(Nodes):
    """`more` goes into `[tls]`, `limits` behind everything."""

    name = "quipu under TLS"

    def __init__(self, size: int = 3, more: str = "", limits: str = ""):
        self.more = more
        self.certificates: Certificates | None = None
        self.tokens: dict[str, dict] = {}
        super().__init__(size, settings=limits)
        for node in self.nodes:
            node.context = self.certificates.context("client-app")

    def start(self, seconds: float = 30) -> "SecureNodes":
        super().start(seconds)
        ready = lambda: all(self.ask("GET", "/ready", node=node)[0] == 200 for node in self.nodes)  # noqa: E731
        wait_until(ready, seconds, "every node to be ready")
        return self

    def token(self, role: str) -> str:
        return self.tokens[role]["token"]

    def ask(self, method: str, path: str, body=None, role: str | None = None, token: str | None = None, node=None):
        """One request to the HTTP port; the status and the answer's JSON, or its text if it is none."""
        token = token or (self.token(role) if role else None)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        host, port = self.http(node or self.nodes[0]).split(":")
        connection = http.client.HTTPSConnection(host, int(port), timeout=10, context=self.certificates.context())
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        try:
            return response.status, json.loads(text)
        except ValueError:
            return response.status, text

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels."""
        _, text = self.ask("GET", "/metrics", role="read")
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        samples = [line for line in text.splitlines() if line.startswith(name)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in samples if all(label in line for label in wanted))

    def told(self, what: str, node: Node | None = None) -> int:
        """How many warnings of a node's log say it."""
        with open(self.log(node or self.nodes[0]), errors="replace") as log:
            return sum("WARN" in line and what in line for line in log)

    def check_logs(self) -> None:
        """No secret stands in any log."""
        secrets = [value for token in self.tokens.values() for value in (token["token"], token["sha256"])]
        secrets += [secret.removeprefix("qp_") for secret in secrets if secret.startswith("qp_")]
        secrets += self.certificates.secrets()
        for node in self.nodes:
            text = Path(self.log(node)).read_text(errors="replace") if node.child else ""
            for secret in secrets:
                assert secret not in text, f"a secret stands in the log of node {node.number}"

    def _settings(self, node: Node) -> str:
        if self.certificates is None:
            self.certificates = Certificates(Path(self.directory, "certs"), len(self.nodes))
            for role in ROLES:
                command = [binary(), "tokens", "new", f"the {role}er", "--role", role, "--json"]
                made = subprocess.run(command, check=True, capture_output=True, text=True)
                self.tokens[role] = json.loads(made.stdout)
        tokens = "".join(
            f'[[token]]\nname = "{token["name"]}"\nrole = "{role}"\nsha256 = "{token["sha256"]}"\n'
            for role, token in self.tokens.items()
        )
        tls = self.certificates.section(f"node-{node.number}") + self.more
        # What is said at the most talkative level is looked through for secrets.
        log = '[log]\nlevel = "trace"\n'
        return super()._settings(node) + tls + tokens + log
