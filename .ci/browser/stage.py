"""The service before a simulated provider, each a process of its own, for as long as a check lasts.

Every wait is bounded. A process is ended by its own id and by nothing else.
"""

import json
import os
import re
import subprocess
import time
import urllib.request
from pathlib import Path

WITHIN = 60.0
"""Seconds for a process to start, or to end."""

SETTINGS = """
preset = "resilient"
design = "coupled"
database_path = "{database}"
retry = {{ max_attempts = 1 }}

[[providers]]
name = "primary"
base_url = "{provider}"
model = "gpt-4o-mini"
api_key = "simulated"
prompt_usd_per_million = 0.15
completion_usd_per_million = 0.6
"""

PROVIDER = """
[[provider]]
name = "primary"
model = "gpt-4o-mini"
first_token = "120ms"
inter_token = "{pace}"
output_tokens = {tokens}
"""


def script(tokens: int = 12, pace: str = "10ms", fault: str = "") -> str:
    """A provider that answers with so many tokens, and what goes wrong with it."""
    return PROVIDER.format(tokens=tokens, pace=pace) + fault


class Process:
    """A running `brownout ...`; a context manager that ends it."""

    def __init__(self, command: list[str], folder: Path):
        folder.mkdir()
        self._out, self._err = folder / "out", folder / "err"
        with self._out.open("w") as out, self._err.open("w") as err:
            environment = os.environ | {"NO_COLOR": "1"}
            self._child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment)

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self._child.terminate()
        try:
            self._child.wait(WITHIN)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait(WITHIN)
            raise AssertionError(f"{self._child.args} was still there {WITHIN:.0f} s after SIGTERM") from None

    def printed(self, pattern: str) -> str:
        """The first group of `pattern` in what the process says, as soon as it says it."""
        deadline = time.monotonic() + WITHIN
        while time.monotonic() < deadline:
            if found := re.search(pattern, self._out.read_text()):
                return found.group(1)
            if self._child.poll() is not None:
                raise AssertionError(f"{self._child.args} ended: {self._err.read_text()}")
            time.sleep(0.02)
        raise AssertionError(f"{self._child.args} never said {pattern!r}, but: {self._out.read_text()!r}")


class Stage:
    """Provider and service; a context manager that ends both."""

    def __init__(self, binary: Path, folder: Path):
        self._binary, self._folder = binary, folder

    def __enter__(self) -> "Stage":
        play = self._folder / "script.toml"
        play.write_text(script())
        command = [str(self._binary), "provider", "--listen", "127.0.0.1:0", "--control", "--script", str(play)]
        self._provider = Process(command, self._folder / "provider").__enter__()
        try:
            base_url = self._provider.printed(r"listening on (http://[^\s,]+)")
            self._control = self._provider.printed(r"control on (http://[^\s,]+)")
            self._token = self._provider.printed(r"Bearer ([0-9a-f]+)")
            settings = self._folder / "service.toml"
            settings.write_text(SETTINGS.format(provider=base_url, database=self._folder / "service.db"))
            command = [str(self._binary), "serve", "--listen", "127.0.0.1:0", "--config", str(settings)]
            self._service = Process(command, self._folder / "service").__enter__()
        except BaseException:
            self._provider.__exit__()
            raise
        try:
            self.url = "http://" + self._service.printed(r"listening on (?:http://)?([^\s,]+)")
            self._warm_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _warm_up(self) -> None:
        """The first chat of a provider takes longer: it learns to count tokens."""
        body = json.dumps({"messages": [{"role": "user", "content": "Are you there?"}]}).encode()
        request = urllib.request.Request(self.url + "/chat", body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=WITHIN) as answer:
            assert answer.status == 200

    def __exit__(self, *_) -> None:
        try:
            self._service.__exit__()
        finally:
            self._provider.__exit__()

    def play(self, text: str) -> None:
        """From now on the provider plays this."""
        self._ask("/script", text.encode(), "PUT")

    def ledger(self) -> list[dict]:
        """The attempts that have ended at the provider, in the order of arrival."""
        rows = [json.loads(line) for line in self._ask("/ledger").splitlines()]
        return sorted(rows, key=lambda row: row["arrived"])

    def get(self, path: str) -> str:
        """What the service answers to a GET."""
        with urllib.request.urlopen(self.url + path, timeout=WITHIN) as answer:
            return answer.read().decode()

    def _ask(self, path: str, body: bytes | None = None, method: str = "GET") -> str:
        headers = {"authorization": f"Bearer {self._token}"}
        request = urllib.request.Request(self._control + path, body, headers, method=method)
        with urllib.request.urlopen(request, timeout=WITHIN) as answer:
            return answer.read().decode()
