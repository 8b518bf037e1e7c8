"""Where the holder writes to: one store that takes everything, and one for each way to refuse a stale token."""

from pathlib import Path

import psycopg
from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError

from harness.api import Api, Refused


class Unfenced:
    """A file. The lock is all that protects it."""

    def __init__(self, node: str, place: str):
        self.api, self.place = Api(node), place

    def prepare(self) -> None:
        """What is done before the lock is taken, so that the write is all that is left to do."""

    def write(self, value: str, lock: str, token: int) -> tuple[bool, str]:
        Path(self.place).write_text(value)
        return True, ""


class Register(Unfenced):
    """The same file behind the cluster's fence register."""

    def write(self, value: str, lock: str, token: int) -> tuple[bool, str]:
        try:
            self.api.ask("POST", f"/v1/fences/{lock}/check", {"token": token})
        except Refused as refused:
            return False, refused.answer.problem
        return super().write(value, lock, token)


class Tree(Unfenced):
    """A node of the tree, written over HTTP with a guard."""

    def write(self, value: str, lock: str, token: int) -> tuple[bool, str]:
        guard = {"lock": lock, "token": token}
        try:
            self.api.ask("PUT", f"/v1/tree{self.place}", {"data": value, "guard": guard})
        except Refused as refused:
            return False, refused.answer.problem
        return True, ""


class Kazoo(Unfenced):
    """A node of the tree, written by a ZooKeeper client that checks the grant in the same transaction."""

    def prepare(self) -> None:
        self.hosts, _, self.path = self.place.partition("|")
        self.client = KazooClient(self.hosts, timeout=30)
        self.client.start(10)
        self.client.ensure_path(self.path)

    def write(self, value: str, lock: str, token: int) -> tuple[bool, str]:
        transaction = self.client.transaction()
        transaction.check(f"/quipu/locks/{lock}@{token}", -1)
        transaction.set_data(self.path, value.encode())
        results = transaction.commit()
        stale = any(isinstance(result, NoNodeError) for result in results)
        assert stale or not any(isinstance(result, Exception) for result in results), results
        self.client.stop()
        return not stale, "no node" if stale else ""


class PostgreSQL(Unfenced):
    """The register of docs/fences/postgresql.sql in front of a plain table."""

    def prepare(self) -> None:
        self.connection = psycopg.connect(self.place)

    def write(self, value: str, lock: str, token: int) -> tuple[bool, str]:
        try:
            with self.connection:
                self.connection.execute("SELECT fence(%s, %s)", (lock, token))
                upsert = "INSERT INTO plain VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET body = EXCLUDED.body"
                self.connection.execute(upsert, (lock, value))
        except psycopg.DatabaseError as error:
            if error.sqlstate != "QF409":
                raise
            return False, error.sqlstate
        return True, ""


STORES = {"unfenced": Unfenced, "register": Register, "tree": Tree, "kazoo": Kazoo, "postgresql": PostgreSQL}
