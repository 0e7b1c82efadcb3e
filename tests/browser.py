"""A headless Chromium, driven by its own protocol over a pipe: nothing is needed but the browser itself.

Chromium reads JSON from file descriptor 3 and writes it to 4 (`--remote-debugging-pipe`), each message ended by a zero.
https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""Programs that it may be, as systems call it."""

SECONDS = 120.0
"""What a call may take on a busy machine."""

REPORT_READY = "document.documentElement?.dataset.ready === 'true'"
"""What is true of a report once its script has run."""

KEYS = {"Tab": 9, "Enter": 13, " ": 32, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
"""Keys and their numbers."""


def find_browser() -> str | None:
    """Find the program; `$FEATX_BROWSER` names another one."""
    named = os.environ.get("FEATX_BROWSER")
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """One page of a headless browser."""

    def __init__(self, process: subprocess.Popen[bytes], into: int, out: int) -> None:
        self.process = process
        self.into = into
        self.out = out
        self.number = 0
        self.buffer = b""
        self.session: str | None = None
        self.target = ""
        self.url = ""
        self.requests: list[str] = []
        self.faults: list[str] = []

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and wait for its result; what happens meanwhile is noted."""
        self.number += 1
        message: dict[str, Any] = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.into, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + SECONDS
        while True:
            answer = self.read(deadline)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.note(answer)

    def read(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.out], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError("the browser does not answer")
            self.buffer += os.read(self.out, 2**20)
        text, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(text)

    def note(self, event: dict[str, Any]) -> None:
        """Note requests for anything but the page itself, and everything that the console complains of."""
        method, values = event.get("method"), event.get("params", {})
        if method == "Network.requestWillBeSent":
            url = values["request"]["url"]
            if not url.startswith("data:") and url != self.url:
                self.requests.append(url)
        elif method == "Runtime.exceptionThrown":
            self.faults.append(str(values["exceptionDetails"].get("exception", values["exceptionDetails"])))
        elif method == "Runtime.consoleAPICalled" and values["type"] in ("error", "warning", "assert"):
            self.faults.append(str(values["args"]))
        elif method == "Log.entryAdded" and values["entry"]["level"] in ("error", "warning"):
            self.faults.append(values["entry"]["text"])
        elif method == "Page.javascriptDialogOpening":
            self.faults.append(f"dialog: {values['message']}")

    def open(
        self, file: Path, width: int = 1280, height: int = 900, scheme: str = "light", ready: str = REPORT_READY
    ) -> Browser:
        """Open a file of this machine without any network, and wait until its script has run."""
        if self.session:
            self.session = None
            self.call("Target.closeTarget", targetId=self.target)
        self.url = file.resolve().as_uri()
        self.requests.clear()
        self.faults.clear()
        self.target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        nothing = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        self.call("Network.emulateNetworkConditions", **nothing)
        self.resize(width, height)
        self.prefer(scheme)
        self.call("Page.navigate", url=self.url)
        self.wait_for(ready)
        return self

    def resize(self, width: int, height: int = 900) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer(self, scheme: str, media: str = "") -> None:
        """Prefer light or dark colours; `media` may be "print"."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)

    def run(self, script: str) -> Any:
        """Evaluate an expression in the page and give its value."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(str(result["exceptionDetails"]))
        return result["result"].get("value")

    def wait_for(self, condition: str, seconds: float = SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not self.run(condition):
            if time.monotonic() > deadline:
                raise TimeoutError(f"never true: {condition}")
            time.sleep(0.05)

    def click(self, selector: str) -> None:
        """Click in the middle of an element, as a mouse does."""
        # What comes into view may still be laid out: not before the element rests, and lies on top, is it hit.
        x, y = self.run(
            f"(async () => {{ const e = document.querySelector({json.dumps(selector)}); let before = [];"
            " for (let turn = 0; turn < 100; turn++) {"
            " e.scrollIntoView({block: 'center', behavior: 'instant'});"
            " await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));"
            " await new Promise((done) => setTimeout(done, 50));"
            " const r = e.getBoundingClientRect(); const now = [r.x + r.width / 2, r.y + r.height / 2];"
            " const hit = document.elementFromPoint(...now);"
            " if (String(now) === String(before) && hit && (e.contains(hit) || hit.contains(e))) return now;"
            " before = now; } return before; })()"
        )
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    def hover(self, x: float, y: float) -> None:
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def press(self, key: str) -> None:
        """Press a key."""
        text = {"Enter": "\r", " ": " "}.get(key, "")
        common = {"key": key, "code": key if key != " " else "Space", "windowsVirtualKeyCode": KEYS[key]}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def photograph(self, file: Path) -> None:
        image = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=False)
        file.write_bytes(base64.b64decode(image["data"]))


def raise_number(descriptor: int) -> int:
    """Give a descriptor a number beyond those that the browser takes."""
    raised = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 20)
    os.close(descriptor)
    return raised


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start a browser with a profile of its own, and end it with the block."""
    program = find_browser()
    assert program is not None
    child_in, into = map(raise_number, os.pipe())
    out, child_out = map(raise_number, os.pipe())
    with tempfile.TemporaryDirectory(prefix="featx-browser-", ignore_cleanup_errors=True) as profile:
        # The descriptors are moved to 3 and 4 by a shell that knows numbers of two digits.
        command = ["bash", "-c", f'exec "$@" 3<&{child_in} 4>&{child_out}', "bash", program]
        command += ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run"]
        command += [f"--user-data-dir={profile}", "--disable-background-networking", "--disable-component-update"]
        process = subprocess.Popen(
            [*command, "about:blank"],
            pass_fds=(child_in, child_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(child_in)
        os.close(child_out)
        try:
            yield Browser(process, into, out)
        finally:
            os.close(into)
            os.close(out)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
