"""The chat page: what is streamed, stopped, broken and refused, and how it is shown."""

import json
import re
import time

from playwright.sync_api import expect

import looks
from stage import script

SLOW = dict(tokens=400, pace="40ms")
REFUSED = ("status of",)
"""How a browser says on its console that a request was refused."""


def checks(phone: dict) -> list:
    def on_a_phone(_stage, visit) -> None:
        """the chat page fits a phone, and its buttons a finger"""
        with visit(**phone) as seen:
            begin(seen)
            ask(seen, "How does it look on a small screen?")
            answered(seen, "complete")
            looks.fits(seen.page)
            looks.large_enough(seen.page, "#send", "#stop", "#question")
            for part in ("#send", "#question"):
                expect(seen.page.locator(part)).to_be_in_viewport()
            seen.shoot("chat-phone")

    return [streams, remembers, shows_it_grow, stops_by_button, stops_by_key, says_that_it_broke, says_that_it_was_refused, asks_for_a_key,
            takes_no_end_for_the_end, keyboard_alone, in_both_schemes, on_a_phone, runs_nothing_else]


def begin(seen) -> None:
    seen.page.goto(seen.url + "/")


def ask(seen, question: str) -> None:
    seen.page.locator("#question").fill(question)
    seen.page.locator("#send").click()


def last(seen):
    return seen.page.locator("article.answer").last


def answered(seen, end: str):
    expect(last(seen)).to_have_attribute("data-end", end)
    return last(seen)


def figures(seen) -> dict[str, str]:
    rows = last(seen).locator("dl > div").all()
    return {row.locator("dt").inner_text(): row.locator("dd").inner_text() for row in rows}


def hung_up(stage, before: int) -> dict:
    """The attempt after the first `before`, once the provider has seen its caller leave."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        rows = stage.ledger()[before:]
        if rows and rows[0]["hung_up"] is not None:
            return rows[0]
        time.sleep(0.02)
    raise AssertionError(f"the provider saw nobody leave: {stage.ledger()[before:]}")


def streams(stage, visit) -> None:
    """a chat is streamed, with time to first token, tokens and cost"""
    stage.play(script(tokens=12))
    with visit() as seen:
        begin(seen)
        ask(seen, "What is a brownout?")
        text = answered(seen, "complete").locator(".text").inner_text()
        assert len(text.split()) == 12, text
        shown = figures(seen)
        number, unit = re.fullmatch(r"([\d.]+) (m?s)", shown["First token"]).groups()
        assert 0.12 <= float(number) * {"s": 1, "ms": 0.001}[unit] < 10, shown
        asked = int(re.fullmatch(r"(\d+) in, 12 out", shown["Tokens"])[1])
        usd = (asked * 0.15 + 12 * 0.6) / 1e6
        assert abs(float(shown["Cost"].removeprefix("$")) / usd - 1) < 0.01, shown
        assert shown["Model"] == "gpt-4o-mini (primary)", shown
        expect(seen.page.locator("#status")).to_contain_text("The answer is complete.")
        seen.shoot("chat-light")


def remembers(stage, visit) -> None:
    """the next question carries the conversation, and a new conversation does not"""
    stage.play(script(tokens=3))
    sent = []
    with visit() as seen:
        seen.page.on("request", lambda r: r.method == "POST" and sent.append(r.post_data_json["messages"]))
        begin(seen)
        for question in ("one", "two"):
            ask(seen, question)
            answered(seen, "complete")
        assert [message["role"] for message in sent[1]] == ["user", "assistant", "user"], sent[1]
        seen.page.locator("#renew").click()
        ask(seen, "three")
        answered(seen, "complete")
        assert [message["content"] for message in sent[2]] == ["three"], sent[2]


def shows_it_grow(stage, visit) -> None:
    """the text grows while the answer is written"""
    stage.play(script(tokens=40, pace="50ms"))
    with visit() as seen:
        begin(seen)
        ask(seen, "Slowly, please.")
        expect(last(seen).locator(".text")).not_to_be_empty()
        early = len(last(seen).locator(".text").inner_text())
        assert last(seen).get_attribute("aria-busy") == "true"
        whole = len(answered(seen, "complete").locator(".text").inner_text())
        assert 0 < early < whole, (early, whole)


def stops(stage, visit, stop) -> None:
    stage.play(script(**SLOW))
    before = len(stage.ledger())
    with visit() as seen:
        begin(seen)
        ask(seen, "A long story, please.")
        expect(last(seen).locator(".text")).not_to_be_empty()
        stop(seen.page)
        shown = answered(seen, "stopped")
        expect(shown.locator(".verdict")).to_contain_text("incomplete")
        assert figures(seen)["Tokens"] == "n/a"
        row = hung_up(stage, before)
        assert row["generated"] < 400, row
        expect(seen.page.locator("#question")).to_be_focused()
        # What was cut is no part of the conversation.
        stage.play(script(tokens=3))
        with seen.page.expect_request("**/chat/stream") as sent:
            ask(seen, "And now?")
        assert len(sent.value.post_data_json["messages"]) == 1
        answered(seen, "complete")


def stops_by_button(stage, visit) -> None:
    """the button stops an answer, and the provider sees the caller leave"""
    stops(stage, visit, lambda page: page.locator("#stop").click())


def stops_by_key(stage, visit) -> None:
    """Esc stops an answer, and the provider sees the caller leave"""
    stops(stage, visit, lambda page: page.keyboard.press("Escape"))


def says_that_it_broke(stage, visit) -> None:
    """an answer that breaks off is marked as incomplete, in words"""
    stage.play(script(tokens=12, fault='[[provider.fault]]\nkind = "reset_mid_stream"\nafter_tokens = 5\n'))
    with visit() as seen:
        begin(seen)
        ask(seen, "What if it breaks?")
        shown = answered(seen, "broken")
        assert len(shown.locator(".text").inner_text()) > 0
        expect(shown.locator(".verdict")).to_contain_text("The answer is incomplete.")
        expect(seen.page.locator("#status")).to_contain_text("incomplete")
        looks.is_legible(seen.page)
        seen.shoot("chat-broken")


def says_that_it_was_refused(stage, visit) -> None:
    """an error before the answer is said in words, and the question is not lost"""
    stage.play(script(fault='[[provider.fault]]\nkind = "status"\nstatus = 500\n'))
    with visit() as seen:
        begin(seen)
        ask(seen, "Are you there?")
        verdict = answered(seen, "refused").locator(".verdict").inner_text()
        assert "could not answer" in verdict and "{" not in verdict, verdict
        expect(seen.page.locator("#question")).to_have_value("Are you there?")
        seen.expect_errors(*REFUSED)


def asks_for_a_key(stage, visit) -> None:
    """401 asks for the API key, which goes with the next question and is kept nowhere"""
    stage.play(script(tokens=3))
    problem = {"title": "no key", "status": 401, "detail": "this service wants an API key"}
    with visit() as seen:
        def guard(route):
            if route.request.headers.get("authorization") == "Bearer let-me-in":
                return route.continue_()
            route.fulfill(status=401, content_type="application/problem+json", body=json.dumps(problem))

        seen.page.route("**/chat/stream", guard)
        begin(seen)
        expect(seen.page.locator("#key")).to_be_hidden()
        ask(seen, "May I?")
        answered(seen, "refused")
        expect(seen.page.locator("#key")).to_be_focused()
        seen.page.keyboard.type("let-me-in")
        seen.page.keyboard.press("Enter")
        answered(seen, "complete")
        kept = seen.page.evaluate("() => [document.cookie, localStorage.length, sessionStorage.length].join()")
        assert kept == ",0,0", kept
        seen.expect_errors(*REFUSED)


def takes_no_end_for_the_end(_stage, visit) -> None:
    """a stream that ends without saying that it is complete is not taken for complete"""
    cut = 'event: delta\ndata: {"text":"half of"}\n\n: heartbeat\n\nevent: delta\r\ndata: {"text":" it"}\r\n\r\n'
    with visit() as seen:
        seen.page.route("**/chat/stream", lambda route: route.fulfill(content_type="text/event-stream", body=cut))
        begin(seen)
        ask(seen, "All of it?")
        shown = answered(seen, "broken")
        assert shown.locator(".text").inner_text() == "half of it"
        expect(shown.locator(".verdict")).to_contain_text("take it for incomplete")


def keyboard_alone(stage, visit) -> None:
    """the chat page works with the keyboard alone"""
    stage.play(script(**SLOW))
    with visit() as seen:
        begin(seen)
        press = seen.page.keyboard.press
        expect(seen.page.locator("#question")).to_be_focused()
        seen.page.keyboard.type("two")
        press("Shift+Enter")
        seen.page.keyboard.type("lines")
        expect(seen.page.locator("#question")).to_have_value("two\nlines")
        press("Enter")
        expect(last(seen).locator(".text")).not_to_be_empty()
        expect(seen.page.locator("#question")).to_be_focused()
        press("Tab")
        expect(seen.page.locator("#stop")).to_be_focused()
        press("Space")
        answered(seen, "stopped")
        expect(seen.page.locator("#question")).to_be_focused()
        order = []
        seen.page.locator("body").evaluate("() => document.activeElement.blur()")
        seen.page.locator("#renew").focus()
        for _ in range(4):
            order.append(seen.page.evaluate("() => document.activeElement.id || document.activeElement.tagName"))
            press("Tab")
        assert order == ["renew", "lock", "A", "scroll"], order
        press("Shift+Tab")
        press("Shift+Tab")
        press("Shift+Tab")
        press("Enter")
        expect(seen.page.locator("#key")).to_be_focused()


def in_both_schemes(stage, visit) -> None:
    """the chat page is legible in light and in dark"""
    stage.play(script(tokens=12))
    grounds = set()
    for scheme in ("light", "dark"):
        with visit(color_scheme=scheme) as seen:
            begin(seen)
            looks.is_legible(seen.page)
            ask(seen, "Light or dark?")
            answered(seen, "complete")
            seen.page.locator("#lock").click()
            looks.is_legible(seen.page)
            grounds.add(seen.page.evaluate("() => getComputedStyle(document.body).backgroundColor"))
            seen.shoot(f"chat-{scheme}-key")
    assert len(grounds) == 2, grounds


def runs_nothing_else(_stage, visit) -> None:
    """what is slipped into the page does not run, and markup in an answer is text"""
    nasty = 'event: delta\ndata: {"text":"<img src=x onerror=document.title=1><b>bold</b>"}\n\nevent: done\ndata: {"id":"1","finish_reason":"stop","model":"m","provider":"p"}\n\n'
    with visit() as seen:
        seen.page.route("**/chat/stream", lambda route: route.fulfill(content_type="text/event-stream", body=nasty))
        begin(seen)
        ask(seen, "<script>document.title = 2</script>")
        shown = answered(seen, "complete")
        assert "<b>bold</b>" in shown.locator(".text").inner_text()
        seen.page.evaluate("() => { const s = document.createElement('script'); s.textContent = 'document.title = 3'; document.body.append(s); }")
        assert seen.page.title() == "Chat · Brownout", seen.page.title()
        seen.expect_errors("Content Security Policy", "Content-Security-Policy")
