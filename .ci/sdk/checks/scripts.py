"""Scripts that cannot be meant: refused with file, line and remedy, and exit code 102."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import clients
from plans import fault, provider
from process import Brownout

CLIENT = clients.OPENAI


@dataclass(frozen=True)
class Bad:
    """A script with one mistake."""

    name: str
    text: str
    marks: str
    """What stands in the line that is to blame; of several such lines the last."""
    says: str


BAD = [
    Bad(
        "a probability over 1",
        provider(CLIENT, fault("status", status="500", probability="1.5")),
        "probability",
        "1.5",
    ),
    Bad(
        "a p50 above its p99",
        provider(CLIENT, first_token='{ kind = "lognormal", p50 = "2s", p99 = "1s" }'),
        "first_token",
        "p99",
    ),
    Bad(
        "a fault that can never fire",
        provider(CLIENT, fault("status", status="500", models='["nobody-serves-this"]')),
        "nobody-serves-this",
        "nobody-serves-this",
    ),
    Bad(
        "overlapping exclusive faults",
        provider(
            CLIENT,
            fault("status", status="500", **{"from": '"1s"', "until": '"3s"'}),
            fault("blackhole", **{"from": '"2s"', "until": '"4s"'}),
        ),
        "[[provider.fault]]",
        "status#0 and blackhole#1",
    ),
    Bad("a misspelt key", provider(CLIENT, frist_token='"1s"'), "frist_token", "frist_token"),
    Bad("an unknown kind of fault", provider(CLIENT, fault("hiccup")), "hiccup", "hiccup"),
    Bad("a model without a price", provider(CLIENT, model='"made-up"'), "made-up", "price"),
    Bad("a kind that the dialect lacks", provider(clients.GEMINI, fault("missing_done")), "missing_done", "gemini"),
    Bad("what is no TOML", provider(CLIENT) + "[[provider\n", "[[provider", "unclosed"),
]


def checks() -> Iterator[tuple[str, Callable[[Brownout], None]]]:
    for bad in BAD:
        yield f"script: {bad.name} ends with 102, and is told with file, line and remedy", partial(told, bad=bad)


def told(brownout: Brownout, bad: Bad) -> None:
    script = brownout.script(bad.text)
    code, said = brownout.refused("--script", str(script))
    assert code == 102, f"exit code {code}: {said}"
    # A long path breaks the message into lines.
    flat = "".join(said.replace("│", "").split())
    line = 1 + bad.text[: bad.text.rindex(bad.marks)].count("\n")
    place = f"script.toml:{line}:"
    assert place in flat, f"{place} is not in: {said}"
    assert "".join(bad.says.split()) in flat, f"{bad.says!r} is not in: {said}"
    _, _, remedy = said.partition("help: ")
    assert remedy.strip(), f"no remedy in: {said}"
