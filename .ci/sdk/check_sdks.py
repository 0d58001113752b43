"""The official SDKs against `brownout provider`: python check_sdks.py BROWNOUT

Prints a line for every check; ends with 1 if one does not hold. Reaches nothing but loopback.
"""

import os
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import checks
from process import Brownout

CHECK_WITHIN = 90
"""Seconds for one check."""

SETTINGS = ("OPENAI_", "ANTHROPIC_", "GOOGLE_", "GEMINI_", "OLLAMA_")
"""Variables that would tell an SDK to call somebody else, or as somebody else."""


class Late(BaseException):
    """A check took too long. No SDK may catch it and try again."""


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: check_sdks.py BROWNOUT", file=sys.stderr)
        return 2
    stay_at_home()
    signal.signal(signal.SIGALRM, late)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    failed = []
    with tempfile.TemporaryDirectory() as scratch:
        brownout = Brownout(Path(sys.argv[1]).resolve(), Path(scratch))
        for name, check in (pair for module in checks.ALL for pair in module.checks()):
            if not holds(name, check, brownout):
                failed.append(name)
    for name in failed:
        print(f"does not hold: {name}", file=sys.stderr)
    return 1 if failed else 0


def holds(name: str, check, brownout: Brownout) -> bool:
    begun = time.monotonic()
    signal.alarm(CHECK_WITHIN)
    try:
        check(brownout)
    except (Exception, Late) as error:
        print(f"FAILED   {name}", flush=True)
        for line in traceback.format_exception(error):
            print("  " + line.rstrip().replace("\n", "\n  "), flush=True)
        return False
    finally:
        signal.alarm(0)
    print(f"{time.monotonic() - begun:5.1f} s  {name}", flush=True)
    return True


def late(*_) -> None:
    raise Late(f"not done after {CHECK_WITHIN} s")


def stay_at_home() -> None:
    """No SDK hears of a proxy, a key or an address but ours, and no socket leaves the machine."""
    for name in list(os.environ):
        if name.startswith(SETTINGS) or name.lower().endswith("_proxy"):
            del os.environ[name]
    sys.addaudithook(refuse_the_world)


def refuse_the_world(event: str, arguments: tuple) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple) and arguments[1][0] not in ("127.0.0.1", "::1"):
        raise PermissionError(f"a check tried to reach {arguments[1]}")


if __name__ == "__main__":
    sys.exit(main())
