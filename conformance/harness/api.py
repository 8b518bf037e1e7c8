"""The HTTP API of one node, with nothing between a test and the bytes but Python's own client."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from .process import wait_until


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    text: str

    @property
    def json(self):
        return json.loads(self.text)

    @property
    def problem(self) -> str:
        """The code at the end of an RFC 9457 type, after checking that the answer has that form."""
        kind = self.headers.get_content_type()
        assert kind == "application/problem+json", f"{self.status} as {kind}: {self.text}"
        body = self.json
        assert body["status"] == self.status, body
        assert isinstance(body["title"], str) and body["title"] and isinstance(body["detail"], str), body
        prefix, code = body["type"].rsplit(":", 1)
        assert prefix == "urn:quipu:problem", body
        return code


class Refused(Exception):
    """An answer other than the one that was asked for."""

    def __init__(self, what: str, answer: Answer):
        super().__init__(f"{what}: {answer.status} {answer.text}")
        self.answer = answer


class Api:
    """Requests to one node, each on a connection of its own."""

    def __init__(self, address: str, token: str | None = None):
        self.address = address
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def request(self, method: str, path: str, body=None, headers: dict | None = None, timeout: float = 30) -> Answer:
        """`body`: bytes or text as they are, anything else as JSON. Raises `OSError` when nobody answers."""
        connection = http.client.HTTPConnection(self.address, timeout=timeout)
        try:
            try:
                connection.request(method, path, *_encoded(body, {**self.headers, **(headers or {})}))
            except BrokenPipeError:
                # It has heard enough of the body. What it said about that may still be there to read.
                pass
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read().decode())
        except http.client.HTTPException as error:
            raise OSError(f"{method} {path}: {error!r}") from error
        finally:
            connection.close()

    def ask(self, method: str, path: str, body=None, timeout: float = 30, **query):
        """The JSON of a 200; raises `Refused` for anything else."""
        path = f"{path}?{urlencode(query)}" if query else path
        answer = self.request(method, path, body, timeout=timeout)
        if answer.status != 200:
            raise Refused(f"{method} {path}", answer)
        return answer.json

    def get(self, path: str, **query):
        return self.ask("GET", path, **query)

    def pages(self, path: str, limit: int) -> Iterator[list]:
        """The items of each page of a list."""
        after = {}
        while True:
            page = self.get(path, limit=limit, **after)
            assert set(page) == {"items", "next"} and len(page["items"]) <= limit, page
            yield page["items"]
            if page["next"] is None:
                return
            after = {"after": page["next"]}

    # Locks and elections.

    def acquire(self, name: str, owner: str = "test", **fields) -> dict:
        wait = fields.get("wait_ms", 0) / 1000
        return self.ask("POST", f"{lock(name)}/acquire", {"owner": owner, **fields}, timeout=30 + wait)

    def renew(self, name: str, token: int) -> dict:
        return self.ask("POST", f"{lock(name)}/renew", {"token": token})

    def release(self, name: str, token: int) -> dict:
        return self.ask("POST", f"{lock(name)}/release", {"token": token})

    def held(self, name: str, token: int) -> bool:
        return self.ask("POST", f"{lock(name)}/check", {"token": token})["held"]

    def campaign(self, name: str, candidate: str, **fields) -> dict:
        wait = fields.get("wait_ms", 0) / 1000
        return self.ask("POST", f"{election(name)}/campaign", {"candidate": candidate, **fields}, timeout=30 + wait)

    def waiting(self, name: str) -> int:
        """How many wait for a lock; 0 when it is free."""
        answer = self.request("GET", lock(name))
        return answer.json["waiting"] if answer.status == 200 else 0

    def wait_for_waiters(self, name: str, count: int, seconds: float = 10) -> None:
        wait_until(lambda: self.waiting(name) == count, seconds, f"{count} waiters of {name}")


def lock(name: str) -> str:
    return f"/v1/locks/{quote(name, safe='')}"


def election(name: str) -> str:
    return f"/v1/elections/{quote(name, safe='')}"


def problem(call, *arguments, **keywords) -> tuple[str, Answer]:
    """The problem a call is refused with."""
    try:
        answer = call(*arguments, **keywords)
    except Refused as refused:
        return refused.answer.problem, refused.answer
    raise AssertionError(f"was not refused: {answer}")


class Background(threading.Thread):
    """A call that takes its time, and the moment it returned."""

    def __init__(self, call, *arguments, **keywords):
        super().__init__(daemon=True)
        self._call = lambda: call(*arguments, **keywords)
        self._result, self._error = None, None
        self.ended: float | None = None
        self.start()

    def run(self) -> None:
        try:
            self._result = self._call()
        except Exception as error:
            self._error = error
        self.ended = time.monotonic()

    def result(self, seconds: float = 30):
        self.join(seconds)
        if self.is_alive():
            raise TimeoutError(f"no answer within {seconds} s")
        if self._error:
            raise self._error
        return self._result


@dataclass
class Event:
    name: str = "message"
    id: str | None = None
    data: str = ""
    comments: list[str] = field(default_factory=list)

    @property
    def json(self):
        return json.loads(self.data)


def place(event: Event) -> tuple[int, int]:
    """Where in the log an event is. Two events of one entry are told apart: the first one's id ends in `.0`."""
    index, _, half = event.id.partition(".")
    assert half in ("", "0"), event
    return int(index), 0 if half else 1


class Stream:
    """Server-sent events, read as the HTML standard says. Close it, or use it as a context."""

    def __init__(self, api: Api, path: str, last_event_id: str | None = None, **query):
        path = f"{path}?{urlencode(query)}" if query else path
        self._connection = http.client.HTTPConnection(api.address, timeout=30)
        headers = {**api.headers, "Accept": "text/event-stream"}
        if last_event_id is not None:
            headers["Last-Event-ID"] = last_event_id
        self._connection.request("GET", path, headers=headers)
        self._answer = self._connection.getresponse()
        if self._answer.status != 200:
            answer = Answer(self._answer.status, self._answer.headers, self._answer.read().decode())
            self.close()
            raise Refused(f"GET {path}", answer)
        assert self._answer.headers.get_content_type() == "text/event-stream", self._answer.headers
        self.comments = 0

    def next(self, seconds: float = 10) -> Event | None:
        """The next event; None when the server has ended the stream. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        event, seen = Event(), False
        while True:
            line = self._line(deadline)
            if line is None:
                return None
            if line == "":
                if seen:
                    event.data = event.data.removesuffix("\n")
                    return event
                continue
            key, _, value = line.partition(":")
            value = value.removeprefix(" ")
            match key:
                case "":
                    self.comments += 1
                case "event":
                    event.name, seen = value, True
                case "id":
                    event.id, seen = value, True
                case "data":
                    event.data, seen = event.data + value + "\n", True

    def named(self, *names: str, seconds: float = 10) -> Event:
        """The next event with one of these names."""
        while (event := self.next(seconds)) is not None:
            if event.name in names:
                return event
        raise AssertionError(f"the stream ended before {names}")

    def _line(self, deadline: float) -> str | None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no event in time")
        if self._connection.sock:
            self._connection.sock.settimeout(left)
        try:
            line = self._answer.readline()
        except TimeoutError as error:
            raise TimeoutError("no event in time") from error
        except http.client.HTTPException as error:
            raise OSError(f"the stream broke off: {error!r}") from error
        return line.decode().rstrip("\r\n") if line else None

    def close(self) -> None:
        self._connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _encoded(body, headers: dict):
    if body is None or isinstance(body, bytes | str):
        return body.encode() if isinstance(body, str) else body, headers
    return json.dumps(body).encode(), {"Content-Type": "application/json", **headers}
