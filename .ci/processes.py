"""A subcommand of the binary as a process: started, asked where it listens, and ended.

Every wait is bounded. A process is ended by its own id and by nothing else.
"""

import os
import re
import subprocess
import time
from pathlib import Path

START_WITHIN = 60.0
END_WITHIN = 30.0


def environment() -> dict[str, str]:
    """Ours, without what would change the settings or the looks."""
    return {name: value for name, value in os.environ.items() if not name.startswith("BROWNOUT_")} | {"NO_COLOR": "1"}


class Process:
    """A running subcommand that listens; a context manager that ends it. What it says goes into `folder`."""

    def __init__(self, command: list[str], folder: Path):
        self._out, self._err = folder / "out", folder / "err"
        with self._out.open("w") as out, self._err.open("w") as err:
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment(), cwd=folder
            )
        self.pid = self._child.pid
        try:
            self.url = "http://" + self.printed(r"listening on (?:http://)?([^\s,]+)").rstrip("/")
        except BaseException:
            self._end()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, *_) -> None:
        code = self._end()
        if kind is None:
            assert code == 0, f"it ended with {code}: {self._err.read_text()}"

    def _end(self) -> int:
        """SIGTERM, and SIGKILL for one that does not mind it."""
        self._child.terminate()
        try:
            return self._child.wait(END_WITHIN)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait(END_WITHIN)
            raise AssertionError(f"it was still there {END_WITHIN:.0f} s after SIGTERM") from None

    def printed(self, pattern: str) -> str:
        """The first group of `pattern` in what the process says, as soon as it says it."""
        deadline = time.monotonic() + START_WITHIN
        while time.monotonic() < deadline:
            found = re.search(pattern, self._out.read_text())
            if found:
                return found.group(1)
            if self._child.poll() is not None:
                raise AssertionError(f"it ended with {self._child.returncode}: {self._err.read_text()}")
            time.sleep(0.02)
        raise AssertionError(f"it never said {pattern!r}, but: {self._out.read_text()!r}")
