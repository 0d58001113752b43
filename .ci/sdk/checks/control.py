"""`--control`: the ledger and the script of a running provider, for whoever has the token."""

import json
from collections.abc import Callable, Iterator
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import openai

import clients
from plans import fault, provider
from process import Brownout
from words import Ask, words

CLIENT = clients.OPENAI


def checks() -> Iterator[tuple[str, Callable[[Brownout], None]]]:
    yield "control: ledger, totals and script are read with the token, and with nothing else", read
    yield "control: a new script takes effect at once; a bad one is refused and changes nothing", replaced
    yield "control: an address that is not on loopback is refused with exit code 2", loopback_only


def read(brownout: Brownout) -> None:
    with brownout.provider(provider(CLIENT), "--control", "127.0.0.1:0") as running:
        url, token = door(running)
        for wrong in (None, "", token[:-1], token.upper() + "0"):
            for path in ("/ledger", "/totals", "/script"):
                assert ask(url + path, wrong)[0] == 401, f"{path} opens for {wrong!r}"
            assert ask(url + "/script", wrong, provider(CLIENT))[0] == 401, f"the script is replaced for {wrong!r}"
        CLIENT.whole(running.url, Ask(1))
        CLIENT.whole(running.url, Ask(2))
        status, lines = ask(url + "/ledger", token)
        live = [json.loads(line) for line in lines.splitlines()]
        totals = json.loads(ask(url + "/totals", token)[1])
        script = json.loads(ask(url + "/script", token)[1])
    rows = running.rows()
    assert status == 200 and live == rows, "the live ledger is the one that is written"
    assert totals["attempts"] == 2 and totals["failed"] == 0, totals
    assert totals["price"] == sum(row["price"] for row in rows), totals
    assert totals["billed"] == sum(row["billed"] for row in rows), totals
    assert (script["name"], script["dialect"]) == ("primary", "openai"), script


def replaced(brownout: Brownout) -> None:
    refusing = provider(CLIENT, fault("status", status="429"))
    broken = provider(CLIENT, fault("status", status="429", probability="1.5"))
    with brownout.provider(provider(CLIENT), "--control", "127.0.0.1:0") as running:
        url, token = door(running)
        assert CLIENT.whole(running.url, Ask(1)).text == words(1, 12)
        assert ask(url + "/script", token, refusing)[0] == 204
        assert refused(running.url), "the new script refuses everything"
        status, said = ask(url + "/script", token, broken)
        line = 1 + broken[: broken.index("probability")].count("\n")
        assert status == 422, f"{status}: {said}"
        assert f":{line}:" in said and "1.5" in said, f"neither line {line} nor the value is in: {said}"
        status, said = ask(url + "/script", token, provider(CLIENT) + provider(CLIENT, name='"second"'))
        assert status == 422 and "2 providers" in said, f"{status}: {said}"
        assert refused(running.url), "a script that was refused changes nothing"
        assert ask(url + "/script", token, provider(CLIENT))[0] == 204
        assert CLIENT.whole(running.url, Ask(2)).text == words(2, 12)
    assert [row["status"] for row in running.rows()] == [200, 429, 429, 200]


def loopback_only(brownout: Brownout) -> None:
    for address in ("0.0.0.0:0", "[::]:0"):
        code, said = brownout.refused("--control", address)
        assert code == 2, f"{address}: exit code {code}: {said}"
        assert "loopback" in said and address in said, said


def refused(url: str) -> bool:
    try:
        CLIENT.whole(url, Ask(3))
    except openai.RateLimitError:
        return True
    return False


def door(running) -> tuple[str, str]:
    """Where the control listener is, and what opens it."""
    url = running.printed(r"control on (http://\S+)")
    return url, running.printed(r"authorization: Bearer (\w+)\)")


def ask(url: str, token: str | None, put: str | None = None) -> tuple[int, str]:
    """Status and body; `put` is the body of a PUT."""
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    body = None if put is None else put.encode()
    request = Request(url, body, headers, method="GET" if put is None else "PUT")
    try:
        with urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()
