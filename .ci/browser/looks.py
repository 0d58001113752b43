"""What can be measured of how a page looks: contrast, and whether it fits."""

CONTRAST = """
() => {
  const channels = (colour) => (colour.match(/[\\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const [r, g, b, alpha = 1] = channels(getComputedStyle(at).backgroundColor);
      if (alpha > 0) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const seen = [];
  for (const element of document.body.querySelectorAll("*")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== "");
    const box = element.getBoundingClientRect();
    if (!own || element.disabled || box.width < 2 || box.height < 2 || ["SCRIPT", "STYLE", "NOSCRIPT"].includes(element.tagName)) continue;
    const [a, b] = [light(channels(getComputedStyle(element).color)), light(ground(element))].sort((x, y) => y - x);
    seen.push([(a + 0.05) / (b + 0.05), `${element.tagName} "${element.textContent.trim().slice(0, 40)}"`]);
  }
  return seen;
}
"""

ENOUGH = 4.5
"""WCAG 2.2, success criterion 1.4.3, for text of any size."""


def is_legible(page) -> None:
    """Every text that is shown stands out from its ground."""
    seen = page.evaluate(CONTRAST)
    assert seen, "no text is shown"
    faint = [f"{ratio:.2f}: {what}" for ratio, what in seen if ratio < ENOUGH]
    assert not faint, f"too little contrast: {faint}"


def fits(page) -> None:
    """Nothing has to be scrolled sideways, and what is touched is large enough."""
    wide, width = page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= width, f"{wide} px on a screen of {width} px"


def large_enough(page, *selectors: str) -> None:
    """What is touched most is at least 44 px high."""
    for selector in selectors:
        box = page.locator(selector).bounding_box()
        assert box and box["height"] >= 44, f"{selector} is {box}"
