"""Headless Chromium by its DevTools protocol, over a pipe: no port, no driver, no library."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time

OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
]

# Chromium reads commands from descriptor 3 and writes answers to descriptor 4; only a process of its own can move its
# descriptors there without treading on those that `subprocess` needs to start it.
LAUNCH = """
import os, sys
for wanted, end in zip((3, 4), map(int, sys.argv[1:3])):
    os.dup2(end, wanted)
os.execvp(sys.argv[3], sys.argv[3:])
"""

SECONDS = 30


def find() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


class Browser:
    def __init__(self, program: str):
        self._profile = tempfile.mkdtemp(prefix="report-browser-")
        ends = [*os.pipe(), *os.pipe()]
        # Out of the way of 3 and 4, whatever else this process has open.
        commands, self._write, self._read, answers = (_above(end) for end in ends)
        launch = [sys.executable, "-c", LAUNCH, str(commands), str(answers), program]
        self._log = open(os.path.join(self._profile, "log"), "wb")
        self._process = subprocess.Popen(
            [*launch, *OPTIONS, f"--user-data-dir={self._profile}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            pass_fds=(commands, answers),
        )
        os.close(commands)
        os.close(answers)
        self._number, self._buffer, self.events = 0, b"", []

    def close(self) -> None:
        # Chromium ends when its pipe does.
        os.close(self._write)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._read)
        self._log.close()
        shutil.rmtree(self._profile, ignore_errors=True)

    def call(self, method: str, session: str | None = None, **parameters):
        self._number += 1
        command = {"id": self._number, "method": method, "params": parameters}
        if session:
            command["sessionId"] = session
        data = json.dumps(command).encode() + b"\0"
        while data:
            data = data[os.write(self._write, data) :]
        answer = self.wait(lambda said: said.get("id") == command["id"], method)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def wait(self, wanted, what: str) -> dict:
        """Reads until something wanted was said; what else was said is kept as an event."""
        deadline = time.monotonic() + SECONDS
        while True:
            while b"\0" not in self._buffer:
                ready, _, _ = select.select([self._read], [], [], max(0, deadline - time.monotonic()))
                chunk = os.read(self._read, 1 << 20) if ready else b""
                if not chunk:
                    raise TimeoutError(f"the browser does not answer {what}: {self._tail()}")
                self._buffer += chunk
            line, self._buffer = self._buffer.split(b"\0", 1)
            said = json.loads(line)
            if "id" not in said:
                self.events.append(said)
            if wanted(said):
                return said

    def _tail(self) -> str:
        self._log.flush()
        with open(self._log.name, errors="replace") as log:
            return log.read()[-2000:]


def _above(end: int) -> int:
    moved = fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 11)
    os.close(end)
    return moved


class Page:
    """One tab, of a given size and taste."""

    def __init__(self, browser: Browser, address: str, width: int, height: int, dark=False, calm=True):
        self._browser = browser
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self._target = target
        self._session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.resize(width, height)
        self.prefer(dark, calm)
        # A tab behind another one paints nothing.
        self.call("Page.bringToFront")
        self.call("Page.navigate", url=address)
        browser.wait(self._is("Page.loadEventFired"), "the page to load")

    def close(self) -> None:
        self._browser.call("Target.closeTarget", targetId=self._target)

    def call(self, method: str, **parameters):
        return self._browser.call(method, self._session, **parameters)

    def resize(self, width: int, height: int) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer(self, dark: bool, calm: bool = True) -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        motion = {"name": "prefers-reduced-motion", "value": "reduce" if calm else "no-preference"}
        self.call("Emulation.setEmulatedMedia", features=[scheme, motion])

    def run(self, script: str):
        """The value of an expression, or of a promise."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"]["exception"].get("description", "failed"))
        return result["result"].get("value")

    def settle(self) -> None:
        """Waits until what was asked for has been painted."""
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def hover(self, selector: str) -> None:
        self.call("Input.dispatchMouseEvent", type="mouseMoved", **self._middle(selector))
        self.settle()

    def away(self) -> None:
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
        self.settle()

    def click(self, selector: str) -> None:
        at = self._middle(selector)
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **at)
        self.settle()

    def press(self, key: str, text: str | None = None) -> None:
        for kind in ("keyDown", "keyUp"):
            more = {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, **more)
        self.settle()

    def screenshot(self, path: str) -> None:
        self.settle()
        data = self.call("Page.captureScreenshot", format="png")["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def complaints(self) -> list[str]:
        """Errors and warnings of the console, and exceptions."""
        found = []
        for event in self._browser.events:
            if event.get("sessionId") != self._session:
                continue
            what, details = event["method"], event["params"]
            if what == "Runtime.exceptionThrown":
                found.append(json.dumps(details["exceptionDetails"])[:500])
            elif what == "Log.entryAdded" and details["entry"]["level"] in ("error", "warning"):
                found.append(details["entry"]["text"])
            elif what == "Runtime.consoleAPICalled" and details["type"] in ("error", "warning", "assert"):
                found.append(json.dumps(details["args"])[:500])
        return found

    def requests(self) -> list[str]:
        """Everything that the page asked the network or the disk for."""
        is_request = self._is("Network.requestWillBeSent")
        return [event["params"]["request"]["url"] for event in self._browser.events if is_request(event)]

    def _is(self, method: str):
        return lambda said: said.get("method") == method and said.get("sessionId") == self._session

    def _middle(self, selector: str) -> dict:
        at = self.run(
            f"""(() => {{
                const element = document.querySelector({json.dumps(selector)});
                element.scrollIntoView({{ block: "center", behavior: "instant" }});
                const box = element.getBoundingClientRect();
                return {{ x: box.x + box.width / 2, y: box.y + box.height / 2 }};
            }})()"""
        )
        self.settle()
        return at
