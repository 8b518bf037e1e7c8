"""`quipu lock run` at a terminal: its command reads, is interrupted and stopped as any job of a shell."""

import os
import pty
import select
import time

import pytest

from harness.quipu import binary

SECONDS = 15


class Terminal:
    """A shell with job control on a terminal of its own."""

    def __init__(self, nodes: str):
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            environment = {**os.environ, "PS1": "ready> ", "QUIPU_NODES": nodes, "TERM": "dumb"}
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], environment)
        self.text = ""
        self.wait_for("ready> ")

    def type(self, keys: str) -> None:
        os.write(self.descriptor, keys.encode())

    def wait_for(self, words: str) -> None:
        """Reads until these words come, and forgets what came before them."""
        end = time.monotonic() + SECONDS
        while words not in self.text:
            assert time.monotonic() < end, f"waited for {words!r}; there is {self.text!r}"
            if select.select([self.descriptor], [], [], 0.1)[0]:
                self.text += os.read(self.descriptor, 4096).decode(errors="replace")
        self.text = self.text.split(words, 1)[1]

    def close(self) -> None:
        os.close(self.descriptor)
        os.waitpid(self.pid, 0)


@pytest.fixture
def terminal(cluster):
    terminal = Terminal(",".join(f"http://{cluster.http(node)}" for node in cluster.nodes))
    yield terminal
    terminal.close()


def test_the_command_reads_what_is_typed(terminal, name):
    terminal.type(f"{binary()} lock run {name} -- sh -c 'echo as''k; read word; echo got-$word'; echo status-$?\n")
    terminal.wait_for("ask\r\n")
    terminal.type("mango\n")
    terminal.wait_for("got-mango")
    terminal.wait_for("status-0")


def test_an_interrupt_is_the_command_s(terminal, name):
    terminal.type(f"{binary()} lock run {name} -- sh -c 'echo be''gun; sleep 100'\n")
    terminal.wait_for("begun\r\n")
    terminal.type("\x03")
    terminal.wait_for("ready> ")
    terminal.type("echo status-$?\n")
    terminal.wait_for("status-130")


def test_a_stopped_command_goes_on_if_its_lock_is_still_held(terminal, name):
    terminal.type(f"{binary()} lock run {name} --ttl 60s -- sh -c 'echo be''gun; read word; echo got-$word'\n")
    terminal.wait_for("begun\r\n")
    terminal.type("\x1a")
    terminal.wait_for("Stopped")
    terminal.wait_for("ready> ")
    terminal.type("fg\n")
    terminal.wait_for("lock run")
    terminal.type("mango\n")
    terminal.wait_for("got-mango")


def test_a_command_that_was_stopped_for_too_long_ends(terminal, name):
    terminal.type(f"{binary()} lock run {name} --ttl 1s -- sh -c 'echo be''gun; cat'\n")
    terminal.wait_for("begun\r\n")
    terminal.type("\x1a")
    terminal.wait_for("Stopped")
    terminal.wait_for("ready> ")
    time.sleep(1.5)
    terminal.type("fg\n")
    terminal.wait_for("is lost")
    terminal.wait_for("ready> ")
    terminal.type("echo status-$?\n")
    terminal.wait_for("status-75")
