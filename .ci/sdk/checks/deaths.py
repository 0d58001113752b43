"""Answers that go wrong after they began: which exception each SDK makes of it, or none.

Half of this is about the SDKs and not about us. It is here so that a new version that behaves otherwise is noticed.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import anthropic
import httpx
import httpx2
import ollama
import openai
import pydantic
from google.genai import errors as gemini

import clients
from checks.each import each
from plans import fault, provider
from process import Brownout
from words import Ask, Reply, words

LENGTH, CUT = 12, 3
NOTHING = None
SDKS = ("openai", "anthropic", "gemini", "ollama")


@dataclass(frozen=True)
class Death:
    """A way for a stream to go wrong, and what comes of it."""

    kind: str
    raises: dict[str, type[Exception] | None]
    """By SDK; an SDK that is not here does not have it."""
    heard: int = CUT
    """Words that arrive before."""
    keys: tuple[tuple[str, str], ...] = (("after_tokens", str(CUT)),)
    finish: tuple[str, ...] = ("fault",)
    """How the ledger may say that it ended."""


def by_sdk(*raises: type[Exception] | None) -> dict[str, type[Exception] | None]:
    return dict(zip(SDKS, raises, strict=True))


DEATHS = [
    Death(
        "error_event",
        by_sdk(openai.APIError, anthropic.APIStatusError, gemini.ServerError, ollama.ResponseError),
    ),
    # The silent failure: half an answer that every SDK takes for a whole one.
    Death("clean_eof", by_sdk(NOTHING, NOTHING, NOTHING, NOTHING)),
    Death(
        "missing_done",
        {"openai": NOTHING, "anthropic": NOTHING, "ollama": NOTHING},
        heard=LENGTH,
        keys=(),
        finish=("stop",),
    ),
    Death(
        "fin_without_terminator",
        by_sdk(
            openai.APIConnectionError,
            httpx2.RemoteProtocolError,
            httpx2.RemoteProtocolError,
            httpx.RemoteProtocolError,
        ),
    ),
    Death(
        "reset_mid_stream",
        by_sdk(openai.APIConnectionError, httpx2.ReadError, httpx2.ReadError, httpx.ReadError),
    ),
    Death(
        "malformed_frame",
        by_sdk(json.JSONDecodeError, json.JSONDecodeError, gemini.UnknownApiResponseError, json.JSONDecodeError),
        # All tokens come, if the caller has not left by then.
        finish=("hung_up", "stop"),
    ),
    Death(
        "stall",
        by_sdk(openai.APITimeoutError, httpx2.ReadTimeout, httpx2.ReadTimeout, httpx.ReadTimeout),
        finish=("hung_up",),
    ),
]


def checks() -> Iterator[tuple[str, Callable[[Brownout], None]]]:
    yield from each(clients.ALL, streams, silent_failure, error_event, whole_answers)


def streams(brownout: Brownout, client) -> None:
    """every death of a stream is the exception it is known to be, after the words that came before it"""
    deaths = [death for death in DEATHS if client.name in death.raises]
    faults = [fault(death.kind, death.kind, **dict(death.keys)) for death in deaths]
    with brownout.provider(provider(client, *faults)) as running:
        for prompt, death in enumerate(deaths):
            patience = 1.0 if death.kind == "stall" else 20.0
            reply, error = until_it_broke(client, running.url, Ask(prompt, case=death.kind, timeout=patience))
            expected = death.raises[client.name]
            assert type(error) is (expected or type(None)), f"{death.kind}: {error!r}, not {expected}"
            assert reply.text == words(prompt, death.heard), f"{death.kind}: {reply.text!r}"
        assert client.whole(running.url, Ask(99)).text == words(99, LENGTH), "a request of no case is spared"
    rows = running.rows()
    assert len(rows) == len(deaths) + 1, f"no SDK tries again after the first byte: {len(rows)} attempts"
    for position, (death, row) in enumerate(zip(deaths, rows)):
        assert row["fault"] == f"{death.kind}#{position}", row
        assert row["status"] == 200 and row["finish"] in death.finish, f"{death.kind}: {row}"
        assert row["price"] == client.price.of(row), row


def silent_failure(brownout: Brownout, client) -> None:
    """half an answer that ends in good order raises nothing: only the missing reason to stop tells"""
    cut = fault("clean_eof", after_tokens=str(CUT))
    with brownout.provider(provider(client, cut)) as running:
        reply, error = until_it_broke(client, running.url, Ask(1))
    assert error is None, f"this SDK has learnt to notice: {error!r}. Good news; tell the documentation"
    assert reply.text == words(1, CUT), reply.text
    assert reply.finish is None, reply.finish
    (row,) = running.rows()
    assert (row["generated"], row["flushed"], row["finish"]) == (CUT, CUT, "fault"), row


def error_event(brownout: Brownout, client) -> None:
    """an error in the stream is the provider's error, after some text, and what came is billed"""
    with brownout.provider(provider(client, fault("error_event", after_tokens=str(CUT)))) as running:
        reply, error = until_it_broke(client, running.url, Ask(1, retries=2))
    assert reply.text == words(1, CUT), reply.text
    match client.name:
        case "openai":
            assert type(error) is openai.APIError, repr(error)
        case "anthropic":
            assert type(error) is anthropic.APIStatusError, repr(error)
            assert error.status_code == 200, "the head was sent long ago"
        case "gemini":
            assert type(error) is gemini.ServerError and error.code == 503, repr(error)
        case "ollama":
            assert type(error) is ollama.ResponseError and error.status_code == -1, repr(error)
    (row,) = running.rows()
    assert (row["generated"], row["flushed"], row["finish"]) == (CUT, CUT, "fault"), row
    assert row["price"] == client.price.of(row), row


def whole_answers(brownout: Brownout, client) -> None:
    """a web page, nothing at all and an empty object in place of an answer are what the SDK is known to make of them"""
    faults = [
        fault("html_200", "page"),
        fault("empty_200", "nothing"),
        fault("empty_200", "object", body='"object"'),
        fault("reset_before_headers", "reset"),
    ]
    with brownout.provider(provider(client, *faults)) as running:
        page, nothing, empty, reset = (
            outcome(client, running.url, Ask(prompt, case=case))
            for prompt, case in enumerate(("page", "nothing", "object", "reset"))
        )
    match client.name:
        case "openai":
            assert isinstance(page, str) and "<html" in page.lower(), f"no exception, but text: {page!r}"
            assert type(nothing) is json.JSONDecodeError, repr(nothing)
            assert empty.choices is None, f"no exception, but nothing in it: {empty!r}"
            assert type(reset) is openai.APIConnectionError, repr(reset)
        case "anthropic":
            assert isinstance(page, str) and "<html" in page.lower(), f"no exception, but text: {page!r}"
            assert type(nothing) is json.JSONDecodeError, repr(nothing)
            assert empty.content is None, f"no exception, but nothing in it: {empty!r}"
            assert type(reset) is anthropic.APIConnectionError, repr(reset)
        case "gemini":
            assert type(page) is json.JSONDecodeError, repr(page)
            assert nothing.candidates is None, f"no exception, but nothing in it: {nothing!r}"
            assert empty.candidates is None, f"no exception, but nothing in it: {empty!r}"
            assert isinstance(reset, httpx2.TransportError), repr(reset)
        case "ollama":
            assert type(page) is json.JSONDecodeError, repr(page)
            assert type(nothing) is json.JSONDecodeError, repr(nothing)
            assert type(empty) is pydantic.ValidationError, repr(empty)
            assert isinstance(reset, (httpx.TransportError, ConnectionError)), repr(reset)


def until_it_broke(client, url: str, ask: Ask) -> tuple[Reply, Exception | None]:
    reply = Reply()
    try:
        client.stream(url, ask, reply)
    except Exception as error:
        return reply, error
    return reply, None


def outcome(client, url: str, ask: Ask):
    """What a whole chat gives or raises."""
    try:
        return client.call(url, ask)
    except Exception as error:
        return error
