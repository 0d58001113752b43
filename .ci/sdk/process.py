"""Starts `brownout provider`, finds out where it listens, ends it, and reads what it left behind.

Every wait is bounded. A process is ended by its own id and by nothing else.
"""

import json
import os
import re
import subprocess
import time
from pathlib import Path

START_WITHIN = 30.0
END_WITHIN = 30.0


class Brownout:
    """The binary under test, and a folder for what its processes write."""

    def __init__(self, binary: Path, scratch: Path):
        self.binary = binary
        self.scratch = scratch
        self.started = 0

    def script(self, text: str) -> Path:
        """Writes a script into a folder of its own."""
        folder = self._folder()
        (folder / "script.toml").write_text(text)
        return folder / "script.toml"

    def provider(self, text: str, *arguments: str) -> "Provider":
        """A provider that plays a script."""
        script = self.script(text)
        ledger = script.parent / "ledger.jsonl"
        return self.start("--script", str(script), "--ledger", str(ledger), *arguments, ledger=ledger)

    def start(self, *arguments: str, ledger: Path | None = None) -> "Provider":
        """A provider with these arguments, on a free port."""
        command = [str(self.binary), "provider", "--listen", "127.0.0.1:0", *arguments]
        return Provider(command, self._folder(), ledger)

    def refused(self, *arguments: str) -> tuple[int, str]:
        """Exit code and standard error of a provider that must not start."""
        command = [str(self.binary), "provider", "--listen", "127.0.0.1:0", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=START_WITHIN, env=_environment())
        assert "listening" not in done.stdout, f"it listened before it refused: {done.stdout}"
        return done.returncode, done.stderr

    def _folder(self) -> Path:
        self.started += 1
        folder = self.scratch / str(self.started)
        folder.mkdir()
        return folder


class Provider:
    """A running `brownout provider`; a context manager that ends it."""

    def __init__(self, command: list[str], folder: Path, ledger: Path | None):
        self._out, self._err, self._ledger = folder / "out", folder / "err", ledger
        with self._out.open("w") as out, self._err.open("w") as err:
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=_environment()
            )
        self.pid = self._child.pid
        try:
            self.url = self.printed(r"listening on (http://[^\s,]+)")
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> "Provider":
        return self

    def __exit__(self, kind, *_) -> None:
        code = self._end()
        if kind is None:
            assert code == 0, f"the provider ended with {code}: {self._err.read_text()}"

    def _end(self) -> int:
        """SIGTERM, and SIGKILL for one that does not mind it."""
        self._child.terminate()
        try:
            return self._child.wait(END_WITHIN)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait(END_WITHIN)
            raise AssertionError(f"the provider was still there {END_WITHIN:.0f} s after SIGTERM") from None

    def printed(self, pattern: str) -> str:
        """The first group of `pattern` in what the process says, as soon as it says it."""
        deadline = time.monotonic() + START_WITHIN
        while time.monotonic() < deadline:
            found = re.search(pattern, self._out.read_text())
            if found:
                return found.group(1)
            if self._child.poll() is not None:
                raise AssertionError(f"the provider ended with {self._child.returncode}: {self._err.read_text()}")
            time.sleep(0.02)
        raise AssertionError(f"the provider never said {pattern!r}, but: {self._out.read_text()!r}")

    def rows(self) -> list[dict]:
        """The ledger, once the process has ended: in the order of arrival."""
        assert self._child.poll() is not None, "the ledger is complete when the provider has ended"
        assert self._ledger, "this provider keeps no ledger"
        rows = [json.loads(line) for line in self._ledger.read_text().splitlines()]
        return sorted(rows, key=lambda row: row["arrived"])


def _environment() -> dict[str, str]:
    return os.environ | {"NO_COLOR": "1"}
