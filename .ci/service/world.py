"""Worlds for the checks: a simulated provider, and the reference service in front of it."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))
from processes import Process  # noqa: E402

CALM = """
[[provider]]
name = "primary"
model = "gpt-4o-mini"
first_token = "2ms"
inter_token = "1ms"
output_tokens = 5
"""
"""A provider that does what it is asked."""


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
        folder = self._scratch / f"{self._started}-{subcommand}"
        folder.mkdir()
        return Process(command, folder)
