"""The service's pages in a browser: python check_pages.py BROWNOUT [FOLDER FOR SCREENSHOTS]

Drives the chromium that is installed (CHROMIUM names another one). Prints a line for every check; ends with 1 if one
does not hold. Reaches nothing but loopback.
"""

import os
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

import chat
import docs
from stage import Stage

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update",
         "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
DESK = {"viewport": {"width": 1200, "height": 800}}
PHONE = {"viewport": {"width": 360, "height": 640}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
PATIENCE_MS = 20_000
"""How long anything on a page may take, on a machine that does much else."""


class Visit:
    """A browser context and its page, and what must not happen there: errors on the console, requests elsewhere, cookies."""

    def __init__(self, browser, url: str, shots: Path | None, **context):
        self.url, self._shots = url, shots
        self._context = browser.new_context(**(DESK | context))
        self._context.set_default_timeout(PATIENCE_MS)
        self.page = self._context.new_page()
        self.errors, self.requests = [], []
        self.page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def __enter__(self) -> "Visit":
        return self

    def __exit__(self, kind, *_) -> None:
        cookies = self._context.cookies()
        self._context.close()
        if kind is None:
            assert not self.errors, f"errors on the console: {self.errors}"
            assert not cookies, f"cookies: {cookies}"
            astray = [url for url in self.requests if not url.startswith((self.url, "data:"))]
            assert not astray, f"requests elsewhere: {astray}"

    def expect_errors(self, *about: str) -> None:
        """A refused request is an error on the console, and no fault of the page."""
        self.errors[:] = [error for error in self.errors if not any(words in error for words in about)]

    def shoot(self, name: str, whole: bool = False) -> None:
        if self._shots:
            self.page.screenshot(path=self._shots / f"{name}.png", full_page=whole)


def main() -> int:
    if len(sys.argv) not in (2, 3):
        print(__doc__.splitlines()[0], file=sys.stderr)
        return 2
    shots = Path(sys.argv[2]) if len(sys.argv) == 3 else None
    if shots:
        shots.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=PATIENCE_MS)
    failed = []
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with tempfile.TemporaryDirectory() as scratch, Stage(Path(sys.argv[1]).resolve(), Path(scratch)) as stage:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
            visit = lambda **context: Visit(browser, stage.url, shots, **context)
            for check in (*chat.checks(PHONE), *docs.checks(PHONE)):
                if not holds(check, stage, visit):
                    failed.append(check.__doc__)
            browser.close()
    for name in failed:
        print(f"does not hold: {name}", file=sys.stderr)
    return 1 if failed else 0


def holds(check, stage: Stage, visit) -> bool:
    begun = time.monotonic()
    try:
        check(stage, visit)
    except Exception as error:
        print(f"FAILED   {check.__doc__}", flush=True)
        for line in traceback.format_exception(error):
            print("  " + line.rstrip().replace("\n", "\n  "), flush=True)
        return False
    print(f"{time.monotonic() - begun:5.1f} s  {check.__doc__}", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
