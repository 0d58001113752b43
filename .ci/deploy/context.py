"""The build context: what .dockerignore lets in is what the build reads, and no secret that lies around."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

PLANTED = [
    ".env", ".env.production", "prod.env", "secrets.toml", "secrets/openai.key", ".git/config", "target/debug/brownout",
    "brownout-service.db", "service/.env", "service/.env.local", "service/secrets.toml", "service/deploy/secrets/service.env",
    "service/deploy/service.env", "service/src/secrets.toml", "harness/cli/.env", "harness/cli/secrets/key.pem",
    "harness/provider/tls.key", "benches/secrets.yaml", "scenarios/.env", "service/brownout-service.db",
    "service/brownout-service.db-wal", "service/target/debug/x", "harness/.git/config", "reports/runs/x/run.json",
]


def rules(text: str) -> list[tuple[bool, re.Pattern]]:
    """The lines of a .dockerignore: whether each lets in, and what it is about."""
    lines = (line.strip() for line in text.splitlines())
    lines = [line for line in lines if line and not line.startswith("#")]
    return [(line.startswith("!"), _pattern(line.lstrip("!").strip("/"))) for line in lines]


def _pattern(glob: str) -> re.Pattern:
    """Docker's globs: `**` is any number of folders, `*` and `?` stop at a slash."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", glob)
    words = {"**/": r"(?:.*/)?", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}
    return re.compile("".join(words.get(part) or re.escape(part) for part in parts))


def is_let_in(path: str, lines: list[tuple[bool, re.Pattern]]) -> bool:
    """The last line that is about a path, or about a folder above it, decides."""
    parts = path.split("/")
    above = ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]
    let_in = True
    for lets_in, pattern in lines:
        if any(pattern.fullmatch(candidate) for candidate in above):
            let_in = lets_in
    return let_in


def in_context(root: Path) -> list[str]:
    """The files of the repository that the build sees."""
    lines = rules((root / ".dockerignore").read_text())
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=root, capture_output=True, text=True, check=True
    )
    return [path for path in listed.stdout.splitlines() if is_let_in(path, lines) and (root / path).is_file()]


def knows_the_rules(_root: Path, _brownout) -> None:
    """the matching is Docker's: the last line wins, folders take what is in them along"""
    lines = rules("*\n!a\n!a/b/keep.env\n**/*.env\n!a/c/x?.env\n# a comment\n")
    expected = {"a/f": True, "b": False, "a/b/keep.env": False, "x.env": False, "a/c/x1.env": True, "a/c/x12.env": False, "ab/f": False}
    found = {path: is_let_in(path, lines) for path in expected}
    assert found == expected, found


def keeps_secrets_out(root: Path, _brownout) -> None:
    """secrets that were planted all over do not get into the build context"""
    lines = rules((root / ".dockerignore").read_text())
    leaked = [path for path in PLANTED if is_let_in(path, lines)]
    assert not leaked, f"the image could hold {leaked}"


def is_all_the_build_needs(root: Path, _brownout) -> None:
    """the build context is a whole workspace, and holds every file that the code includes"""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for path in in_context(root):
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / path, copy / path)
        for path in PLANTED:
            assert not (copy / path).exists(), path
        command = ["cargo", "metadata", "--locked", "--offline", "--no-deps", "--format-version", "1"]
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        missing = []
        for source in copy.rglob("*.rs"):
            if "tests" in source.relative_to(copy).parts:
                continue
            for name in re.findall(r'include_(?:str|bytes)!\("([^"]+)"\)', source.read_text()):
                if not (source.parent / name).is_file():
                    missing.append(f"{source.relative_to(copy)}: {name}")
            for name in re.findall(r'sqlx::migrate!\("([^"]+)"\)', source.read_text()):
                if not (copy / "service" / name).is_dir():
                    missing.append(f"{source.relative_to(copy)}: {name}")
        assert not missing, missing
        tracked = subprocess.run(["git", "ls-files", "service/src", "harness", "scenarios"], cwd=root, capture_output=True, text=True, check=True)
        left_out = [path for path in tracked.stdout.splitlines() if (root / path).is_file() and not (copy / path).exists()]
        assert not left_out, f"the build needs {left_out}"


CHECKS = [knows_the_rules, keeps_secrets_out, is_all_the_build_needs]
