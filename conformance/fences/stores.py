"""The snippets of docs/fences behind one interface, each as its user would run it."""

import http.client
import re
import shutil
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path

import psycopg

from fences.postgresql import PostgreSQL
from harness.process import Child, wait_until

SNIPPETS = Path(__file__).resolve().parents[2] / "docs" / "fences"


class Store(ABC):
    """Storage behind a fence."""

    @abstractmethod
    def write(self, name: str, value: str, token: int) -> bool:
        """False when the token was refused as stale."""

    @abstractmethod
    def read(self, name: str) -> str | None: ...

    @abstractmethod
    def crash(self) -> None:
        """Ends whatever serves it, as hard as it can be, and starts it again."""

    def close(self) -> None: ...


def statements(text: str) -> dict[str, str]:
    """The statements of postgresql.sql that follow a line `-- name: ...`, with psycopg's form of parameters."""
    parts = re.split(r"^-- name: (\w+)$", text, flags=re.MULTILINE)
    named = dict(zip(parts[1::2], parts[2::2]))
    return {name: re.sub(r":(name|body|token)\b", r"%(\1)s", body).strip() for name, body in named.items()}


def schema(text: str) -> str:
    """What of postgresql.sql is run once."""
    return text.split("-- name:")[0]


class Rows(Store):
    """PostgreSQL, a fence in each row."""

    def __init__(self, server: PostgreSQL):
        self.server = server
        self.database = server.new_database()
        text = (SNIPPETS / "postgresql.sql").read_text()
        self.statements = statements(text)
        with self.connect() as connection:
            connection.execute(schema(text))
            connection.execute("CREATE TABLE plain (name text PRIMARY KEY, body text)")

    def write(self, name: str, value: str, token: int) -> bool:
        return self._run("create_or_replace", name=name, body=value, token=token)

    def replace(self, name: str, value: str, token: int) -> bool:
        return self._run("replace", name=name, body=value, token=token)

    def remove(self, name: str, token: int) -> bool:
        return self._run("remove", name=name, token=token)

    def read(self, name: str) -> str | None:
        with self.connect() as connection:
            row = connection.execute("SELECT body FROM documents WHERE name = %s", (name,)).fetchone()
        return row[0] if row else None

    def crash(self) -> None:
        self.server.crash()
        self.server.start()

    def connect(self) -> psycopg.Connection:
        return self.server.connect(self.database)

    def _run(self, statement: str, **parameters) -> bool:
        with self.connect() as connection:
            return connection.execute(self.statements[statement], parameters).rowcount == 1


class Register(Rows):
    """PostgreSQL, one register for a whole resource; the table behind it knows nothing of fences."""

    def write(self, name: str, value: str, token: int) -> bool:
        try:
            with self.connect() as connection:
                connection.execute("SELECT fence('documents', %s)", (token,))
                blind_write(connection, name, value)
        except psycopg.errors.DatabaseError as error:
            if error.sqlstate == "QF409":
                return False
            raise
        return True

    def read(self, name: str) -> str | None:
        with self.connect() as connection:
            row = connection.execute("SELECT body FROM plain WHERE name = %s", (name,)).fetchone()
        return row[0] if row else None


def blind_write(connection: psycopg.Connection, name: str, value: str) -> None:
    """What a client without a fence would do."""
    upsert = "INSERT INTO plain VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET body = EXCLUDED.body"
    connection.execute(upsert, (name, value))


class Http(Store):
    """http_fence.py as a process."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="http-fence-test-")
        self._start()

    def request(self, method: str, name: str, body: str | None = None, headers: dict | None = None):
        """The status, the headers and the body of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, f"/objects/{name}", body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def write(self, name: str, value: str, token: int) -> bool:
        status, _, body = self.request("PUT", name, value, {"X-Fence-Token": str(token)})
        assert status in (204, 409), f"{status}: {body}"
        return status == 204

    def read(self, name: str) -> str | None:
        status, _, body = self.request("GET", name)
        return body if status == 200 else None

    def crash(self) -> None:
        self.child.kill()
        self._start()

    def close(self) -> None:
        self.child.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start(self) -> None:
        log = Path(self.directory, "log")
        log.write_text("")
        self.child = Child([sys.executable, str(SNIPPETS / "http_fence.py"), "0", f"{self.directory}/objects"], str(log))
        ready = wait_until(lambda: re.search(r"ready on .*:(\d+)", log.read_text()), 20, "http_fence.py to listen")
        self.port = int(ready[1])


class Files(Store):
    """fenced_files.py, a process for each write."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="fenced-files-test-"))

    def write(self, name: str, value: str, token: int) -> bool:
        done = self.run(name, value, str(token))
        assert done.returncode in (0, 3), f"{done.returncode}: {done.stderr}"
        return done.returncode == 0

    def run(self, name: str, value: str, token: str) -> subprocess.CompletedProcess:
        command = [sys.executable, str(SNIPPETS / "fenced_files.py"), str(self.folder), name]
        return subprocess.run(command, input=value, env={"QUIPU_FENCE": token}, capture_output=True, text=True, timeout=30)

    def read(self, name: str) -> str | None:
        path = self.folder / name
        return path.read_text() if path.exists() else None

    def crash(self) -> None:
        """No process lives between two writes: only the folder has to remember."""

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
