"""The Dockerfile: what it is made from, as whom it runs, and that nothing secret is written into it."""

import json
import re
from pathlib import Path

from dockerfile_parse import DockerfileParser

from context import in_context
from running import listens_at

SECRET = re.compile(r"(?i)secret|password|passwd|token|api_?key|private|credential")
PINNED = re.compile(r"^[\w./-]+(:\d+\.\d+[\w.-]*|@sha256:[0-9a-f]{64})$")


def steps(root: Path) -> list[dict]:
    with (root / "service/deploy/Dockerfile").open("rb") as file:
        return DockerfileParser(fileobj=_Kept(file.read())).structure


class _Kept:
    """A file that the parser may read as often as it likes."""

    def __init__(self, content: bytes):
        self._content, self._at = content, 0

    def seek(self, at: int) -> None:
        self._at = at

    def readlines(self) -> list[bytes]:
        return self._content.splitlines(keepends=True)

    def read(self) -> bytes:
        return self._content


def values(found: list[dict], instruction: str) -> list[str]:
    return [step["value"] for step in found if step["instruction"] == instruction]


def last_stage(found: list[dict]) -> list[dict]:
    begins = max(n for n, step in enumerate(found) if step["instruction"] == "FROM")
    return found[begins:]


def arguments(root: Path) -> list[str]:
    """What the image runs unless told otherwise, without the binary's name."""
    stage = last_stage(steps(root))
    entry = json.loads(values(stage, "ENTRYPOINT")[0])
    assert entry == ["/brownout"], entry
    return json.loads(values(stage, "CMD")[0])


def is_pinned(root: Path, _brownout) -> None:
    """every image that the Dockerfile builds on is pinned to a version, and what runs begins from nothing"""
    sources = values(steps(root), "FROM")
    for source in sources[:-1]:
        assert PINNED.match(source.split()[0]), source
    assert sources[-1].split()[0] == "scratch", sources[-1]


def runs_as_nobody(root: Path, _brownout) -> None:
    """the image runs as a numbered user who is not root, and says how its health is asked after"""
    stage = last_stage(steps(root))
    user, group = values(stage, "USER")[-1].split(":")
    assert int(user) > 0 and int(group) > 0
    run = arguments(root)
    assert values(stage, "EXPOSE") == [str(listens_at(run))], "the port that is exposed is not that of the command"
    health = values(stage, "HEALTHCHECK")[0]
    probe = json.loads(health[health.index("CMD") + 3:])
    assert probe[:2] == ["/brownout", "serve"] and listens_at(probe) == listens_at(run), probe
    assert "RUN" not in {step["instruction"] for step in stage}, "there is nothing in it that could run a command"


def holds_no_secret(root: Path, _brownout) -> None:
    """the Dockerfile writes no secret into a layer, and copies by name only what is in the build context"""
    found = steps(root)
    for step in found:
        assert step["instruction"] != "ADD", "ADD fetches and unpacks: use COPY"
        if step["instruction"] in ("ENV", "ARG", "LABEL"):
            assert not SECRET.search(step["value"]), step["content"]
    known = in_context(root)
    for value in values(found, "COPY"):
        words = [word for word in value.split() if not word.startswith("--")]
        if "--from=" in value:
            continue
        for source in words[:-1]:
            assert source not in (".", "./"), "it copies everything that lies around"
            assert any(path == source or path.startswith(source + "/") for path in known), f"{source} is not in the build context"


CHECKS = [is_pinned, runs_as_nobody, holds_no_secret]
