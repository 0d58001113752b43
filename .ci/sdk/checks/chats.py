"""Nothing goes wrong: text, usage, finish, price, tools, JSON and lists of models, whole and streamed, in every SDK."""

from collections.abc import Callable, Iterator

import clients
from checks.each import each
from plans import provider
from process import Brownout
from words import SYSTEM, TOOL, Ask, City, Reply, ledger_usage, words

LENGTH = 12


def checks() -> Iterator[tuple[str, Callable[[Brownout], None]]]:
    yield from each(clients.ALL, chat, limit, tool, tool_round, schema, models)


def chat(brownout: Brownout, client) -> None:
    """a chat, whole and streamed, has the tracer words, and the ledger's usage and price"""
    script = provider(client, reasoning_tokens="5", prompt_cache="{ min_tokens = 32, granularity = 16 }")
    with brownout.provider(script) as running:
        replies = [
            client.whole(running.url, Ask(1, system=SYSTEM)),
            client.whole(running.url, Ask(2, system=SYSTEM)),
            streamed(client, running.url, Ask(3, system=SYSTEM)),
            streamed(client, running.url, Ask(4)),
        ]
    rows = running.rows()
    assert len(rows) == len(replies), f"{len(replies)} requests, {len(rows)} attempts"
    for prompt, (reply, row) in enumerate(zip(replies, rows), 1):
        assert reply.text == words(prompt, LENGTH), f"prompt {prompt}: {reply.text!r}"
        assert reply.finish == client.stop, f"prompt {prompt} finished with {reply.finish!r}"
        accounts_agree(client, reply, row)
        assert (row["prompt"], row["attempt"], row["status"], row["fault"]) == (prompt, 0, 200, None), row
        assert (row["generated"], row["reasoning"], row["flushed"]) == (LENGTH + 5, 5, LENGTH), row
        assert row["finish"] == "stop" and row["hung_up"] is None, row
    cached = [row["cached_tokens"] > 0 for row in rows]
    assert cached == [False, True, True, False], f"the second and third share a system prompt: {cached}"


def limit(brownout: Brownout, client) -> None:
    """max_tokens cuts an answer, and is told as the reason"""
    with brownout.provider(provider(client)) as running:
        replies = [
            client.whole(running.url, Ask(1, max_tokens=4)),
            streamed(client, running.url, Ask(2, max_tokens=4)),
        ]
    for prompt, (reply, row) in enumerate(zip(replies, running.rows(), strict=True), 1):
        assert reply.text == words(prompt, 4), reply.text
        assert reply.finish == client.length_stop, reply.finish
        assert row["finish"] == "length", row
        accounts_agree(client, reply, row)


def tool(brownout: Brownout, client) -> None:
    """a tool is called with arguments that fit its schema, whole and streamed"""
    with brownout.provider(provider(client)) as running:
        replies = [
            client.whole(running.url, Ask(1, tool=True)),
            streamed(client, running.url, Ask(2, tool=True)),
        ]
    for prompt, (reply, row) in enumerate(zip(replies, running.rows(), strict=True), 1):
        assert reply.tool == (TOOL, {"city": words(prompt, LENGTH)}), reply.tool
        assert reply.finish == client.tool_stop, reply.finish
        assert reply.text == "", f"text beside a call: {reply.text!r}"
        accounts_agree(client, reply, row)


def tool_round(brownout: Brownout, client) -> None:
    """a tool's result is answered with text"""
    with brownout.provider(provider(client)) as running:
        called, answered = client.after_tool(running.url, Ask(1, tool=True))
    assert called.tool, called
    assert answered.tool is None and answered.finish == client.stop, answered
    assert answered.text == words(1, LENGTH), f"the marker of the user's message names the answer: {answered.text!r}"
    first, second = running.rows()
    assert second["prompt_tokens"] > first["prompt_tokens"], "call and result are part of the prompt"
    accounts_agree(client, called, first)
    accounts_agree(client, answered, second)


def schema(brownout: Brownout, client) -> None:
    """an answer in JSON fits the schema asked for, whole and streamed"""
    with brownout.provider(provider(client)) as running:
        replies = [
            client.whole(running.url, Ask(1, schema=True)),
            streamed(client, running.url, Ask(2, schema=True)),
        ]
    for prompt, (reply, row) in enumerate(zip(replies, running.rows(), strict=True), 1):
        assert City.model_validate_json(reply.text).city == words(prompt, LENGTH), reply.text
        assert reply.finish == client.stop, reply.finish
        accounts_agree(client, reply, row)
    if client is not clients.OLLAMA:
        assert replies[0].city == words(1, LENGTH), f"the SDK's own parser read {replies[0].city!r}"


def models(brownout: Brownout, client) -> None:
    """models are listed, and each answers under its own price"""
    with brownout.provider(provider(client, also_serves=f'["{client.other_model}"]')) as running:
        listed = client.models(running.url)
        client.whole(running.url, Ask(1))
        client.whole(running.url, Ask(2, model=client.other_model))
    assert listed == [client.model, client.other_model], listed
    own, other = running.rows()
    assert [own["model"], other["model"]] == listed, "a list of models is no attempt"
    if client is not clients.OLLAMA:
        assert other["price"] > own["price"] == client.price.of(own), (own["price"], other["price"])


def streamed(client, url: str, ask: Ask) -> Reply:
    reply = Reply()
    client.stream(url, ask, reply)
    return reply


def accounts_agree(client, reply: Reply, row: dict) -> None:
    """What the SDK reports is what the ledger says, and the bill is the list price of it."""
    ledger = ledger_usage(row)
    assert reply.usage, "the SDK reports no usage"
    assert reply.usage == {name: ledger[name] for name in reply.usage}, f"{reply.usage} against {ledger}"
    assert (row["billed"], row["billed_prompt"]) == (row["generated"], row["prompt_tokens"]), row
    assert row["price"] == client.price.of(row), f"{row['price']} picodollars, not {client.price.of(row)}"
