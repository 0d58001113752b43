"""`--record` in front of another provider, then `--replay`: the same answers from the tape, and no key on it."""

from collections.abc import Callable, Iterator

import clients
from plans import provider
from process import Brownout
from words import Ask, Reply, words

KEY = "sk-never-on-any-tape-4711"


def checks() -> Iterator[tuple[str, Callable[[Brownout], None]]]:
    yield "openai: a recorded chat is replayed word for word, and its key is on no tape", replayed


def replayed(brownout: Brownout) -> None:
    openai, tape = clients.OPENAI, brownout.scratch / "tape"
    with brownout.provider(provider(openai)) as upstream:
        target = upstream.url.removesuffix("/v1")
        with brownout.start("--record", str(tape), "--upstream", target) as recorder:
            recorded = both(recorder.url)
    assert [reply.text for reply in recorded] == [words(1, 12), words(2, 12)], recorded
    assert len(upstream.rows()) == 2, "the upstream saw what passed through"
    assert tape.stat().st_size > 0, "the tape is empty"
    assert KEY.encode() not in tape.read_bytes(), "the key is on the tape"
    with brownout.start("--replay", str(tape)) as player:
        again = both(player.url)
    assert again == recorded, f"{again} is not {recorded}"


def both(url: str) -> list[Reply]:
    """A whole and a streamed chat. A recorder's address is that of the provider's root."""
    whole = clients.OPENAI.whole(f"{url}/v1", Ask(1), key=KEY)
    stream = Reply()
    clients.OPENAI.stream(f"{url}/v1", Ask(2), stream, key=KEY)
    return [whole, stream]
