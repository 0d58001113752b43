"""Errors before an answer begins: the SDK's own classes, and who waits and tries again."""

import time
from collections.abc import Callable, Iterator

import anthropic
import ollama
import openai
from google.genai import errors as gemini

import clients
from checks.each import each
from plans import fault, provider
from process import Brownout
from words import Ask, Reply, seconds, words

RAISES = {
    "openai": {
        400: openai.BadRequestError,
        401: openai.AuthenticationError,
        403: openai.PermissionDeniedError,
        404: openai.NotFoundError,
        429: openai.RateLimitError,
        500: openai.InternalServerError,
        503: openai.InternalServerError,
    },
    "anthropic": {
        400: anthropic.BadRequestError,
        401: anthropic.AuthenticationError,
        403: anthropic.PermissionDeniedError,
        404: anthropic.NotFoundError,
        413: anthropic.RequestTooLargeError,
        429: anthropic.RateLimitError,
        500: anthropic.InternalServerError,
        529: anthropic.OverloadedError,
    },
    "gemini": {
        400: gemini.ClientError,
        403: gemini.ClientError,
        404: gemini.ClientError,
        429: gemini.ClientError,
        500: gemini.ServerError,
        503: gemini.ServerError,
    },
    "ollama": {
        400: ollama.ResponseError,
        404: ollama.ResponseError,
        429: ollama.ResponseError,
        500: ollama.ResponseError,
        503: ollama.ResponseError,
    },
}

# What a caller of each SDK reads to tell errors apart, besides the class.
SAYS = {
    "openai": {
        401: ("code", "invalid_api_key"),
        404: ("code", "model_not_found"),
        429: ("code", "rate_limit_exceeded"),
    },
    "anthropic": {
        401: ("type", "authentication_error"),
        429: ("type", "rate_limit_error"),
        529: ("type", "overloaded_error"),
    },
    "gemini": {
        403: ("status", "PERMISSION_DENIED"),
        429: ("status", "RESOURCE_EXHAUSTED"),
        503: ("status", "UNAVAILABLE"),
    },
    "ollama": {503: ("error", "server busy, please try again.  maximum pending requests exceeded")},
}


def checks() -> Iterator[tuple[str, Callable[[Brownout], None]]]:
    yield from each(clients.ALL, statuses, unknown_model)
    yield from each((clients.OPENAI, clients.ANTHROPIC, clients.GEMINI), wrong_request)
    yield from each((clients.OPENAI, clients.ANTHROPIC), waits, bucket)
    yield from each((clients.GEMINI, clients.OLLAMA), at_once)


def statuses(brownout: Brownout, client) -> None:
    """every error status raises the SDK's own class, whole and streamed, and costs nothing"""
    raises = RAISES[client.name]
    faults = [fault("status", f"status-{status}", status=str(status)) for status in raises]
    with brownout.provider(provider(client, *faults)) as running:
        for prompt, (status, expected) in enumerate(raises.items()):
            for call in (client.whole, lambda url, ask: client.stream(url, ask, Reply())):
                error = raised(call, running.url, Ask(prompt, case=f"status-{status}"))
                assert type(error) is expected, f"{status}: {error!r} is no {expected.__name__}"
                assert status_of(error) == status, f"{status}: the SDK read {status_of(error)}"
                attribute, value = SAYS[client.name].get(status, (None, None))
                if attribute:
                    assert getattr(error, attribute) == value, f"{status}: {attribute} is {getattr(error, attribute)!r}"
        assert client.whole(running.url, Ask(99)).text == words(99, 12), "a request of no case is spared"
    *refused, answered = running.rows()
    assert [row["status"] for row in refused] == [status for status in raises for _ in "ws"], "one attempt each"
    assert all((row["price"], row["generated"]) == (0, 0) for row in refused), "an error costs nothing"
    assert answered["status"] == 200, answered


def unknown_model(brownout: Brownout, client) -> None:
    """a model that is not served is the SDK's 404, and names the model"""
    with brownout.provider(provider(client)) as running:
        error = raised(client.whole, running.url, Ask(1, model="no-such-model"))
    expected = RAISES[client.name][404]
    assert type(error) is expected and status_of(error) == 404, repr(error)
    assert "no-such-model" in str(error), str(error)


def wrong_request(brownout: Brownout, client) -> None:
    """a request that the provider itself finds wrong is the SDK's 400, and costs nothing"""
    with brownout.provider(provider(client)) as running:
        error = raised(client.whole, running.url, Ask(1, max_tokens=0))
    assert type(error) is RAISES[client.name][400] and status_of(error) == 400, repr(error)
    (row,) = running.rows()
    assert (row["status"], row["price"]) == (400, 0), row


def waits(brownout: Brownout, client) -> None:
    """a 429 with Retry-After makes the SDK wait that long, and then succeed"""
    refusal = fault("status", status="429", retry_after='"1s"', first="1")
    with brownout.provider(provider(client, refusal)) as running:
        begun = time.monotonic()
        reply = client.whole(running.url, Ask(1, retries=2))
        took = time.monotonic() - begun
    assert reply.text == words(1, 12), reply.text
    assert 1.0 <= took < 5.0, f"it took {took:.2f} s"
    refused, answered = running.rows()
    assert [refused["status"], answered["status"]] == [429, 200], "two attempts"
    assert [refused["attempt"], answered["attempt"]] == [0, 1], "of one prompt"
    assert answered["arrived"] - refused["ended"] >= 1_000_000, "the pause is on the provider's clock too"
    assert (refused["fault"], answered["fault"], refused["price"]) == ("status#0", None, 0), refused


def bucket(brownout: Brownout, client) -> None:
    """a real rate limit tells its wait and its state, and the SDK gets through by waiting"""
    limits = "{ requests_per_minute = 30, burst = 0.016 }"
    with brownout.provider(provider(client, limits=limits)) as running:
        first = raw_headers(client, running.url, Ask(1))
        reply = client.whole(running.url, Ask(2, retries=3))
    assert reply.text == words(2, 12), reply.text
    rows = running.rows()
    assert [row["status"] for row in rows][:2] == [200, 429] and rows[-1]["status"] == 200, rows
    assert rows[1]["finish"] == "rate_limited" and rows[1]["price"] == 0, rows[1]
    if client is clients.OPENAI:
        assert first["x-ratelimit-limit-requests"] == "30", first
        assert first["x-ratelimit-remaining-requests"] == "0", first
        assert 0 < seconds(first["x-ratelimit-reset-requests"]) <= 2.0, first
    else:
        assert first["anthropic-ratelimit-requests-limit"] == "30", first
        assert first["anthropic-ratelimit-requests-remaining"] == "0", first
        assert first["anthropic-ratelimit-requests-reset"].endswith("Z"), first


def at_once(brownout: Brownout, client) -> None:
    """a 429 raises at once: this SDK does not try again by itself"""
    refusal = fault("status", status="429", retry_after='"9s"', first="1")
    with brownout.provider(provider(client, refusal)) as running:
        begun = time.monotonic()
        error = raised(client.whole, running.url, Ask(1))
        took = time.monotonic() - begun
    assert type(error) is RAISES[client.name][429], repr(error)
    assert took < 5.0, f"it took {took:.2f} s"
    assert [row["status"] for row in running.rows()] == [429], "one attempt"
    if client is clients.GEMINI:
        delays = [detail["retryDelay"] for detail in error.details["error"]["details"] if "retryDelay" in detail]
        assert delays == ["9s"], f"Gemini says when in the body: {error.details}"


def raised(call, *arguments) -> Exception:
    try:
        answered = call(*arguments)
    except Exception as error:
        return error
    raise AssertionError(f"nothing was raised, but came {answered!r}")


def status_of(error) -> int:
    """google-genai calls it `code`."""
    return getattr(error, "status_code", None) or error.code


def raw_headers(client, url: str, ask: Ask):
    sdk = client.client(url, ask)
    endpoint = sdk.chat.completions if client is clients.OPENAI else sdk.messages
    return endpoint.with_raw_response.create(**client.body(ask)).headers
