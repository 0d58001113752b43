"""The page at /docs: every endpoint that the service describes, and what a hostile description does to it."""

import json

from playwright.sync_api import expect

import looks

METHODS = ("get", "post", "put", "patch", "delete")

NASTY = {
    "openapi": "3.1.0",
    "info": {"title": "<b>Nasty</b>", "version": "1", "description": "<script>document.title = 1</script>"},
    "paths": {
        "/tree/{id}": {
            "post": {
                "summary": "A `tree` that holds itself",
                "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 1}}],
                "security": [{"bearer": []}],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Tree"}}}},
                "responses": {"200": {"description": "It's done", "content": {"text/event-stream": {"schema": {"type": "string"}}}}},
            }
        }
    },
    "components": {"schemas": {"Tree": {
        "type": "object",
        "required": ["name", "children"],
        "properties": {
            "name": {"type": "string", "maxLength": 9, "description": "<img src=x onerror=document.title=2>", "example": "it's"},
            "children": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}},
            "parent": {"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Tree"}]},
        },
    }}},
}


def checks(phone: dict) -> list:
    def on_a_phone(_stage, visit) -> None:
        """the docs page fits a phone"""
        with visit(**phone) as seen:
            begin(seen)
            looks.fits(seen.page)
            seen.shoot("docs-phone")

    return [shows_all, in_both_schemes, on_a_phone, survives, says_that_it_cannot]


def begin(seen) -> None:
    seen.page.goto(seen.url + "/docs")
    expect(seen.page.locator("main")).to_have_attribute("aria-busy", "false")


def shows_all(stage, visit) -> None:
    """the docs page shows every endpoint that is described, with a call to copy"""
    described = json.loads(stage.get("/openapi.json"))
    expected = {f"{method.upper()} {path}" for path, item in described["paths"].items() for method in METHODS if method in item}
    with visit() as seen:
        begin(seen)
        shown = {" ".join(text.split()) for text in seen.page.locator("section.operation > h2").all_inner_texts()}
        assert shown == expected, shown ^ expected
        assert seen.page.locator("nav li a").count() == len(expected)
        curl = seen.page.locator("#post-chat-stream pre").last.inner_text()
        assert curl.startswith("curl -N -X POST") and seen.url in curl and "messages" in curl, curl
        seen.page.locator("#post-chat-stream details summary").first.click()
        seen.page.keyboard.press("Tab")
        expect(seen.page.locator("#post-chat-stream table").first).to_be_visible()
        seen.page.locator("nav li a").last.click()
        expect(seen.page.locator("section.operation").last).to_be_in_viewport()


def in_both_schemes(_stage, visit) -> None:
    """the docs page is legible in light and in dark"""
    for scheme in ("light", "dark"):
        with visit(color_scheme=scheme) as seen:
            begin(seen)
            for summary in seen.page.locator("section.operation details > summary").all()[:4]:
                summary.click()
            looks.is_legible(seen.page)
            seen.page.evaluate("() => scrollTo(0, 0)")
            seen.shoot(f"docs-{scheme}")


def survives(_stage, visit) -> None:
    """a description that holds markup and itself is shown as text, to a bounded depth"""
    with visit() as seen:
        body = json.dumps(NASTY)
        seen.page.route("**/openapi.json", lambda route: route.fulfill(content_type="application/json", body=body))
        begin(seen)
        assert seen.page.title() == "API · Brownout", seen.page.title()
        expect(seen.page.locator("h1")).to_have_text("<b>Nasty</b>")
        section = seen.page.locator("#post-tree-id-")
        expect(section).to_contain_text("length to 9")
        curl = section.locator("pre").last.inner_text()
        assert "/tree/ID" in curl and "Bearer $API_KEY" in curl and "it'\\''s" in curl, curl
        assert seen.page.locator("img, b").count() == 0


def says_that_it_cannot(_stage, visit) -> None:
    """a description that cannot be had is said so"""
    with visit() as seen:
        seen.page.route("**/openapi.json", lambda route: route.fulfill(status=503, body="no"))
        begin(seen)
        expect(seen.page.locator(".problem")).to_contain_text("status 503")
        seen.expect_errors("status of")
