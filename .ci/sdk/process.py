"""Starts `brownout provider` with scripts and ledgers, and reads what it left behind."""

import json
import subprocess
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))
from processes import START_WITHIN, Process, environment  # noqa: E402


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
        done = subprocess.run(command, capture_output=True, text=True, timeout=START_WITHIN, env=environment())
        assert "listening" not in done.stdout, f"it listened before it refused: {done.stdout}"
        return done.returncode, done.stderr

    def _folder(self) -> Path:
        self.started += 1
        folder = self.scratch / str(self.started)
        folder.mkdir()
        return folder


class Provider(Process):
    """A running `brownout provider`; a context manager that ends it."""

    def __init__(self, command: list[str], folder: Path, ledger: Path | None):
        self._ledger = ledger
        super().__init__(command, folder)

    def rows(self) -> list[dict]:
        """The ledger, once the process has ended: in the order of arrival."""
        assert self._child.poll() is not None, "the ledger is complete when the provider has ended"
        assert self._ledger, "this provider keeps no ledger"
        rows = [json.loads(line) for line in self._ledger.read_text().splitlines()]
        return sorted(rows, key=lambda row: row["arrived"])
