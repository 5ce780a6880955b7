"""Chromium without a screen, steered through a pipe (`--remote-debugging-pipe`): no driver, no websocket.

Messages are JSON ended by a zero byte: ours go in on descriptor 3, answers and events come out on 4.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
NO_BROWSER = "no Chromium here: apt install chromium, and the page is tested in it"
PATIENCE_SECONDS = 60.0


def chromium() -> str | None:
    """Return where Chromium is."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Page:
    """One tab."""

    def __init__(self, to_browser: Any, from_browser: Any) -> None:
        self._to, self._from = to_browser, from_browser
        self._number = 0
        self.complaints: list[str] = []
        """What the console said, and what was not loaded."""
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        self._session = ""
        self._session = self._send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "DOM", "Accessibility"):
            self._send(f"{domain}.enable")

    def go(self, address: str) -> None:
        self._send("Page.navigate", url=address)
        self.wait_for("document.readyState === 'complete' && location.protocol.startsWith('http')")

    def run(self, script: str) -> Any:
        """Return what a piece of JavaScript gives."""
        told = self._send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def wait_for(self, script: str) -> None:
        """Wait until a piece of JavaScript gives something true."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not self.run(script):
            assert time.monotonic() < end, f"{script} did not come true; the page says {self.status()!r}"
            time.sleep(0.02)

    def status(self) -> str:
        return str(self.run("document.getElementById('status')?.textContent"))

    def said(self, words: str) -> None:
        """Wait until the status line has these words."""
        self.wait_for(f"document.getElementById('status').textContent.includes({json.dumps(words)})")

    def choose(self, selector: str, *paths: Path) -> None:
        """Choose files in an input, as a person would in its dialogue."""
        root = self._send("DOM.getDocument")["root"]["nodeId"]
        node = self._send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self._send("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press a key where the focus is."""
        for kind in ("keyDown", "keyUp"):
            extra = {"text": text} if text and kind == "keyDown" else {}
            self._send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **extra)

    def type(self, text: str) -> None:
        self._send("Input.insertText", text=text)

    def names(self, role: str) -> list[str]:
        """Return what a screen reader calls everything of a role."""
        nodes = self._send("Accessibility.getFullAXTree")["nodes"]
        return [n.get("name", {}).get("value", "") for n in nodes if n.get("role", {}).get("value") == role]

    def prefer(self, scheme: str) -> None:
        """Ask for a light or a dark page."""
        self._send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def width(self, pixels: int) -> None:
        self._send("Emulation.setDeviceMetricsOverride", width=pixels, height=900, deviceScaleFactor=1, mobile=False)

    def screenshot(self, path: Path) -> None:
        told = self._send("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(told["data"]))

    def _send(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if getattr(self, "_session", ""):
            message["sessionId"] = self._session
        self._to.write(json.dumps(message).encode() + b"\0")
        self._to.flush()
        while (told := self._read()).get("id") != self._number:
            self._note(told)
        assert "error" not in told, (method, told["error"])
        return dict(told["result"])

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("method") == "Log.entryAdded":
            self.complaints.append(event["params"]["entry"]["text"])
        if event.get("method") in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
            self.complaints.append(json.dumps(event["params"]))

    def _read(self) -> dict[str, Any]:
        data = bytearray()
        while (byte := self._from.read(1)) != b"\0":
            assert byte, "Chromium has gone"
            data += byte
        return dict(json.loads(data))


@contextmanager
def open_page(profile: Path) -> Iterator[Page]:
    """Start Chromium with a fresh profile; yield a page."""
    ours_in, to_browser = os.pipe()
    from_browser, ours_out = os.pipe()

    def wire() -> None:  # Chromium reads on 3 and writes on 4
        first, second = os.dup(ours_in), os.dup(ours_out)
        os.dup2(first, 3)
        os.dup2(second, 4)

    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--remote-debugging-pipe",
        f"--user-data-dir={profile}",
        "--window-size=1100,900",
    ]
    program = chromium()
    assert program
    process = subprocess.Popen(
        [program, *options],
        preexec_fn=wire,
        close_fds=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(ours_in)
    os.close(ours_out)
    try:
        with os.fdopen(to_browser, "wb") as writing, os.fdopen(from_browser, "rb", buffering=1 << 20) as reading:
            yield Page(writing, reading)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
