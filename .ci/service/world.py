"""Starts `brownout provider` and `brownout serve`, finds out where they listen, and ends them.

Every wait is bounded. A process is ended by its own id and by nothing else.
"""

import os
import re
import subprocess
import time
from pathlib import Path

START_WITHIN = 60.0
END_WITHIN = 30.0

CALM = """
[[provider]]
name = "primary"
model = "gpt-4o-mini"
first_token = "2ms"
inter_token = "1ms"
output_tokens = 5
"""
"""A provider that does what it is asked."""


class Process:
    """A running subcommand of the binary; a context manager that ends it."""

    def __init__(self, folder: Path, command: list[str]):
        folder.mkdir(parents=True)
        self._out, self._err = folder / "out", folder / "err"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BROWNOUT_")}
        with self._out.open("w") as out, self._err.open("w") as err:
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment | {"NO_COLOR": "1"}, cwd=folder
            )
        try:
            self.url = "http://" + self._printed(r"listening on (?:http://)?([^\s,]+)").rstrip("/")
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> "Process":
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

    def _printed(self, pattern: str) -> str:
        deadline = time.monotonic() + START_WITHIN
        while time.monotonic() < deadline:
            found = re.search(pattern, self._out.read_text())
            if found:
                return found.group(1)
            if self._child.poll() is not None:
                raise AssertionError(f"it ended with {self._child.returncode}: {self._err.read_text()}")
            time.sleep(0.02)
        raise AssertionError(f"it never said {pattern!r}, but: {self._out.read_text()!r}")


class World:
    """The binary under test, and a folder for what its processes write."""

    def __init__(self, binary: Path, scratch: Path):
        self._binary, self._scratch, self._started = binary, scratch, 0

    def provider(self, script: str = CALM) -> Process:
        """A simulated provider that plays a script."""
        file = self._file("script.toml", script)
        return self._start("provider", "--script", str(file))

    def service(self, provider: Process, settings: str = "") -> Process:
        """The reference service in front of it. `settings` are lines of TOML, keys before tables."""
        providers = f'[[providers]]\nname = "primary"\nbase_url = "{provider.url}"\nmodel = "gpt-4o-mini"\napi_key = "sk-check"\n'
        file = self._file("service.toml", f"{settings}\n{providers}")
        return self._start("serve", "--config", str(file))

    def _file(self, name: str, text: str) -> Path:
        self._started += 1
        file = self._scratch / f"{self._started}-{name}"
        file.write_text(text)
        return file

    def _start(self, subcommand: str, *arguments: str) -> Process:
        self._started += 1
        command = [str(self._binary), subcommand, "--listen", "127.0.0.1:0", *arguments]
        return Process(self._scratch / f"{self._started}-{subcommand}", command)
