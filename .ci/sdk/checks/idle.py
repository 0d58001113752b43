"""Ten thousand connections that say nothing leave the provider answering."""

import os
import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import clients
from plans import provider
from process import Brownout
from words import Ask, words

WANTED = 10_000
SPARE = 200
"""Descriptors for everything else, on either side."""


def checks() -> Iterator[tuple[str, Callable[[Brownout], None]]]:
    count = possible()
    cut = "" if count == WANTED else f" (of {WANTED:,}: the hard limit of descriptors allows no more)"
    yield f"idle: with {count:,} idle connections{cut} a chat is answered", crowded


def possible() -> int:
    """Both processes raise the soft limit to the hard one: the provider inherits this process's."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return WANTED if hard == resource.RLIM_INFINITY else max(0, min(WANTED, hard - SPARE))


def crowded(brownout: Brownout) -> None:
    count, client = possible(), clients.OPENAI
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + SPARE if hard == resource.RLIM_INFINITY else hard, hard))
    with brownout.provider(provider(client)) as running, ExitStack() as open_connections:
        address = urlsplit(running.url)
        begun = time.monotonic()
        for _ in range(count):
            connection = socket.create_connection((address.hostname, address.port), timeout=10)
            open_connections.enter_context(connection)
        took = time.monotonic() - begun
        assert took < 5.0, f"to connect took {took:.1f} s: callers beyond a short queue wait a second each"
        taken = accepted(running.pid, count)
        assert taken >= count, f"the provider holds {taken} of {count} connections"
        begun = time.monotonic()
        reply = client.whole(running.url, Ask(1))
        took = time.monotonic() - begun
        assert reply.text == words(1, 12), reply.text
        assert took < 5.0, f"the chat took {took:.2f} s"
    assert [row["status"] for row in running.rows()] == [200]


def accepted(pid: int, count: int) -> int:
    """Descriptors that the provider holds, once there are `count` or it has had ten seconds."""
    deadline = time.monotonic() + 10
    while (held := len(os.listdir(f"/proc/{pid}/fd"))) < count and time.monotonic() < deadline:
        time.sleep(0.05)
    return held
