"""The binary that is deployed, to be asked what it thinks of settings and paths.

Every wait is bounded. A process is ended by its own id and by nothing else.
"""

import os
import re
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

WITHIN = 60.0
"""Seconds for a process to start, to answer, or to end."""

PREFIX = "BROWNOUT_SERVICE__"


class Brownout:
    """The binary under test."""

    def __init__(self, binary: Path):
        self.binary = binary

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        command = [str(self.binary), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=WITHIN, env=_environment(environment))

    def accepts(self, settings: str, arguments: list[str], environment: dict[str, str]) -> None:
        """`serve` with these arguments takes these settings, which take the place of the file that is named."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "service.toml"
            file.write_text(settings)
            done = self.run(*_with_config(arguments, str(file)), "--check", **environment)
        assert done.returncode == 0, f"it refuses the settings: {done.stdout}{done.stderr}"

    def answers(self, *paths: str, process: str = "serve") -> dict[str, tuple[int, str]]:
        """Status and text of these paths, from a service or a worker of its own; `--probe` must agree."""
        with tempfile.TemporaryDirectory() as folder:
            environment = {
                PREFIX + "PROVIDERS": '[{name="primary",base_url="http://127.0.0.1:9/v1",model="m",api_key="k"}]',
                PREFIX + "DATABASE_URL": f"sqlite:{folder}/service.db",
                PREFIX + "DESIGN": "queued",
                PREFIX + "SHUTDOWN_GRACE": "100ms",
            }
            out, address = Path(folder) / "out", f"127.0.0.1:{_free_port()}"
            with out.open("w") as sink:
                command = [str(self.binary), process, "--listen", address]
                child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, env=_environment(environment))
            try:
                _said(child, out, r"listening on|working")
                answers = {path: _get(f"http://{address}{path}") for path in paths}
                for path, (status, _) in answers.items():
                    probe = self.run("serve", "--listen", address, "--probe", path)
                    assert (probe.returncode == 0) == (200 <= status < 300), f"--probe {path}: {probe}"
                return answers
            finally:
                child.terminate()
                try:
                    child.wait(WITHIN)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait(WITHIN)


def seconds(duration: str) -> float:
    """A duration as the settings and Compose write it."""
    number, unit = re.fullmatch(r"([\d.]+)(ms|s|m|h)", duration).groups()
    return float(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]


def listens_at(arguments: list[str]) -> int:
    """The port that `serve` with these arguments listens at."""
    return int(arguments[arguments.index("--listen") + 1].rpartition(":")[2])


def _with_config(arguments: list[str], file: str) -> list[str]:
    at = arguments.index("--config") + 1
    return [*arguments[:at], file, *arguments[at + 1:]]


def _environment(more: dict[str, str]) -> dict[str, str]:
    """Without settings of whoever runs this."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)} | {"NO_COLOR": "1"} | more


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _said(child: subprocess.Popen, out: Path, pattern: str) -> None:
    """Waits until a process says that it is ready."""
    deadline = time.monotonic() + WITHIN
    while time.monotonic() < deadline:
        if re.search(pattern, out.read_text()):
            return
        assert child.poll() is None, f"the service ended: {out.read_text()}"
        time.sleep(0.02)
    raise AssertionError(f"the service never said {pattern!r}: {out.read_text()!r}")


def _get(url: str) -> tuple[int, str]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=WITHIN) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
