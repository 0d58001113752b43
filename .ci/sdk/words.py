"""What every SDK is asked and what it gives back, in words that no SDK owns.

Knows no SDK and no process.
"""

import re
from dataclasses import dataclass, field

from pydantic import BaseModel

SYSTEM = "Answer in one short paragraph. " * 20
"""Long enough for the prompt cache of the scripts here."""

TOOL = "get_weather"
TOOL_DOES = "The weather of a city."
TOOL_RESULT = "sunny"
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


class City(BaseModel):
    """The schema that JSON answers are asked for."""

    city: str


@dataclass(frozen=True)
class Ask:
    """A chat request."""

    prompt: int
    case: str = "none"
    """Sent as the header `x-case`, which scripts scope their faults by."""
    model: str | None = None
    system: str | None = None
    tool: bool = False
    schema: bool = False
    max_tokens: int | None = None
    retries: int = 0
    """Where the SDK retries at all."""
    timeout: float = 20.0

    @property
    def text(self) -> str:
        return f"Say something. [prompt {self.prompt}]"

    @property
    def headers(self) -> dict[str, str]:
        return {"x-case": self.case}


@dataclass
class Reply:
    """An answer, as far as it came."""

    text: str = ""
    finish: str | None = None
    usage: dict[str, int] = field(default_factory=dict)
    """What the SDK reports, under the names of `ledger_usage`."""
    tool: tuple[str, dict] | None = None
    city: str | None = None
    """The JSON answer, parsed by the SDK where it offers that."""


def words(prompt: int, count: int) -> str:
    """The first words of the answer to a prompt: docs/tracer-text.md."""
    return " ".join(f"t{prompt}.{index}" for index in range(count))


def ledger_usage(row: dict) -> dict[str, int]:
    """A ledger row's tokens, under every name that an SDK has a field for."""
    names = ("prompt_tokens", "cached_tokens", "cache_write_tokens", "generated", "reasoning")
    return {name: row[name] for name in names} | {"uncached_tokens": row["prompt_tokens"] - row["cached_tokens"]}


@dataclass(frozen=True)
class Price:
    """Picodollars per token, which is US dollars per million tokens times 10^6. From docs/scenarios.md."""

    prompt: int
    cached: int
    cache_write: int
    completion: int

    def of(self, row: dict) -> int:
        special = row["cached_tokens"] + row["cache_write_tokens"]
        return (
            (row["prompt_tokens"] - special) * self.prompt
            + row["cached_tokens"] * self.cached
            + row["cache_write_tokens"] * self.cache_write
            + row["generated"] * self.completion
        )


def seconds(header: str) -> float:
    """A Go-style duration, such as `6m0s` or `12ms`."""
    units = {"h": 3600, "m": 60, "s": 1, "ms": 0.001, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
    parts = re.findall(r"([\d.]+)(ms|us|µs|ns|h|m|s)", header)
    assert parts and "".join(n + u for n, u in parts) == header, f"{header!r} is not a duration"
    return sum(float(number) * units[unit] for number, unit in parts)
