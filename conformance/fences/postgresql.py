"""A PostgreSQL server of the test's own: data in a temporary folder, reached by a socket in the same folder."""

import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import uuid

import psycopg

from harness.process import Child, wait_until


def programs() -> str | None:
    """The folder of the newest installed `postgres` and `initdb`; Debian does not put it into PATH."""
    debian = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: float(path.split("/")[4]), reverse=True)
    elsewhere = os.path.dirname(shutil.which("postgres") or "")
    return next((folder for folder in [*debian, elsewhere] if os.access(f"{folder}/initdb", os.X_OK)), None)


def missing() -> str | None:
    """Why no server can be started here."""
    if not programs():
        return "needs PostgreSQL: apt-get install postgresql"
    if os.getuid() == 0 and not shutil.which("setpriv"):
        return "needs setpriv, because PostgreSQL refuses to run as root"
    return None


class PostgreSQL:
    """One server. It is started on a fresh cluster of databases and removed with it."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="postgresql-test-")
        self.child: Child | None = None
        user = _user()
        if os.getuid() == 0:
            os.chown(self.directory, user.pw_uid, user.pw_gid)
        made = ["initdb", "--pgdata", f"{self.directory}/data", "--username", "test", "--auth", "trust", "--no-sync", "--encoding", "UTF8"]
        done = subprocess.run(_as(user, made), capture_output=True, text=True, timeout=60, cwd=self.directory)
        assert done.returncode == 0, f"initdb: {done.stdout}{done.stderr}"

    def start(self) -> "PostgreSQL":
        words = ["postgres", "-D", f"{self.directory}/data", "-k", self.directory, "-c", "listen_addresses="]
        self.child = Child(_as(_user(), words), f"{self.directory}/log")
        wait_until(self._answers, 30, "PostgreSQL to answer")
        return self

    def crash(self) -> None:
        """Ends at once, without a checkpoint; what was committed comes back from the write-ahead log."""
        self.child.signal(signal.SIGQUIT)
        self.child.stop()

    def stop(self) -> None:
        if self.child:
            self.child.signal(signal.SIGQUIT)
            self.child.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def connect(self, database: str = "postgres", **options) -> psycopg.Connection:
        return psycopg.connect(host=self.directory, user="test", dbname=database, connect_timeout=10, **options)

    def new_database(self) -> str:
        """An empty one; its name."""
        name = f"test_{uuid.uuid4().hex}"
        with self.connect(autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return name

    def _answers(self) -> bool:
        if not self.child.running:
            raise RuntimeError(f"PostgreSQL ended:\n{self.child.log_tail()}")
        try:
            self.connect().close()
            return True
        except psycopg.OperationalError:
            return False


def _user() -> pwd.struct_passwd:
    """Who runs the server: whoever we are, or someone without rights if we are root."""
    if os.getuid() != 0:
        return pwd.getpwuid(os.getuid())
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return known.get("postgres") or known["nobody"]


def _as(user: pwd.struct_passwd, words: list[str]) -> list[str]:
    command = [f"{programs()}/{words[0]}", *words[1:]]
    if os.getuid() != 0:
        return command
    # The kernel forgets that a process is to die with its parent when the user changes: setpriv says it again.
    who = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--pdeathsig=QUIT"]
    return ["setpriv", *who, *command]
