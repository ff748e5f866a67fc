"""A picture of the lineage in the Dagster UI: `make screenshot` writes docs/lineage.png.

It needs Debian's chromium and a graph that `make run` has made; Playwright comes into an environment of its own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

DOCS = Path(__file__).parent
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
SETTLE_MS = 6_000
START_SECONDS = 120
ZOOM_OUT = 200


@contextlib.contextmanager
def user_interface() -> Iterator[str]:
    """The UI's address; it is served from a process group of its own, which ends with the context."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    webserver = Path(sys.argv[1]) / "dagster-webserver"
    arguments = [str(webserver), "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(arguments, cwd=DOCS.parent, start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(f"{url}/server_info")
        yield url
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def _wait_for(url: str) -> None:
    for _ in range(START_SECONDS):
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own loopback
            return
        time.sleep(1)
    sys.exit(f"{url} did not answer in {START_SECONDS} s")


def capture(page: Page, url: str, name: str) -> None:
    """The page as a picture, once it has settled."""
    page.goto(url)
    page.wait_for_timeout(SETTLE_MS)
    skip = page.get_by_role("button", name="Skip")
    if skip.count():
        skip.first.click()
    if name == "lineage":
        page.keyboard.press("Alt+e")
        page.wait_for_timeout(SETTLE_MS)
        page.mouse.move(1_220, 940)
        page.keyboard.down("Control")
        page.mouse.wheel(0, ZOOM_OUT)
        page.keyboard.up("Control")
        page.wait_for_timeout(1_000)
    page.screenshot(path=str(DOCS / f"{name}.png"))


def main() -> None:
    """Writes the pictures."""
    with user_interface() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        page = browser.new_page(viewport={"width": 2000, "height": 1700})
        capture(page, f"{url}/asset-groups", "lineage")
        browser.close()


if __name__ == "__main__":
    main()
