"""A real browser for tests: headless chromium, controlled through its debugging pipe.

No driver and no package: the DevTools protocol is JSON, one message after another, each ended by
a zero byte, read by the browser from descriptor 3 and written to descriptor 4.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--mute-audio",
    "--remote-debugging-pipe",
)
_PATIENCE_S = 120.0


class Browser:
    """One chromium with one tab. `requests` lists every address that a page asked for."""

    def __init__(self, profile: Path) -> None:
        assert CHROMIUM is not None
        (their_input, self._write), (self._read, their_output) = os.pipe(), os.pipe()
        # Out of the way of descriptors 3 and 4, which the child puts them on.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (their_input, their_output)]
        self._process = subprocess.Popen(
            [CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: (os.dup2(ends[0], 3), os.dup2(ends[1], 4)),
            pass_fds=(3, 4),
        )
        for end in (their_input, their_output, *ends):
            os.close(end)
        self._buffer, self._next, self._session = b"", 0, ""
        self.requests: list[str] = []
        self._seen: list[str] = []  # load events not waited for yet
        pages = self.call("Target.getTargets")["targetInfos"]
        target = next(info["targetId"] for info in pages if info["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self.call(f"{domain}.enable")

    def open(self, path: Path, link: str = "") -> None:
        """Load a file as a new page, also when only the link behind # differs."""
        self.requests.clear()
        self.call("Page.navigate", url="about:blank")
        self._wait_for("Page.loadEventFired")
        self.call("Page.navigate", url=path.as_uri() + link)
        self._wait_for("Page.loadEventFired")

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def point(self, selector: str) -> tuple[float, float]:
        """The middle of an element, scrolled into view."""
        x, y = self.run(
            f"(() => {{ const node = document.querySelector({json.dumps(selector)});"
            "node.scrollIntoView({ block: 'center', behavior: 'instant' });"
            "const place = () => { const box = node.getBoundingClientRect();"
            "return [box.x + box.width / 2, box.y + box.height / 2]; };"
            # A scroll event is sent one frame later and would undo an earlier pointer event.
            "return new Promise((done) => requestAnimationFrame(() =>"
            "requestAnimationFrame(() => done(place())))); })()"
        )
        return x, y

    def hover(self, selector: str) -> None:
        """Move the pointer onto an element."""
        x, y = self.point(selector)
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, selector: str) -> None:
        """Press and release on an element, as a user's pointer does."""
        x, y = self.point(selector)
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            count = 0 if kind == "mouseMoved" else 1
            self.call(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=count
            )

    def press(self, key: str) -> None:
        """Press and release a key on what has the focus."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def view(self, width_px: int, height_px: int = 900, *, dark: bool = False) -> None:
        """The window's size and the user's colour scheme."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width_px,
            height=height_px,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def close(self) -> None:
        """End the browser and everything it started."""
        self.call("Browser.close", browser_wide=True)
        os.close(self._write)
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._read)

    def call(self, method: str, *, browser_wide: bool = False, **params: Any) -> dict[str, Any]:
        """One command of the DevTools protocol, and its result."""
        self._next += 1
        message: dict[str, Any] = {"id": self._next, "method": method, "params": params}
        if self._session and not browser_wide:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write, data) :]
        answer = self._until(lambda got: got.get("id") == self._next)
        assert "error" not in answer, (method, answer["error"])
        result: dict[str, Any] = answer["result"]
        return result

    def _wait_for(self, event: str) -> None:
        if event in self._seen:
            self._seen.remove(event)
            return
        self._until(lambda got: got.get("method") == event)
        self._seen.remove(event)

    def _until(self, wanted: Any) -> Mapping[str, Any]:
        while True:
            message = self._message()
            if message.get("method") == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
            if message.get("method") == "Page.loadEventFired":
                self._seen.append("Page.loadEventFired")
            if wanted(message):
                return message

    def _message(self) -> Mapping[str, Any]:
        deadline = time.monotonic() + _PATIENCE_S
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0, deadline - time.monotonic()))
            assert ready, "the browser does not answer"
            data = os.read(self._read, 1 << 20)
            assert data, "the browser has ended"
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b"\0")
        message: Mapping[str, Any] = json.loads(text)
        return message
