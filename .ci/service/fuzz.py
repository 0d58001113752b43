"""Thousands of requests, good and bad, made from the service's own description: python fuzz.py BROWNOUT [REQUESTS]

Ends with 1 if one of them is answered with a server error, with a status, a type or a body that the description does not
have, or if nonsense is taken for sense. Reaches nothing but loopback.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from world import World

REQUESTS = 5_000
"""How many, unless told."""
RUNS = 8
"""Never more runs than this to reach that number."""
A_RUN_WITHIN = 1_800

# Left out: whether all that fits the schemas is accepted. A few rules are beyond a schema (100.0 is a whole number there,
# a named format needs its schema), and what is refused too eagerly is no danger.
CHECKS = [
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
    "response_headers_conformance", "negative_data_rejection", "unsupported_method", "allow_header_conformance",
]

SETTINGS = """
design = "background"
"""


def fuzz(url: str, seed: int, cases: int, folder: Path) -> tuple[int, bool]:
    """How many requests there were, and whether all of them were answered well."""
    report = folder / f"{seed}.ndjson"
    command = [
        str(Path(sys.executable).with_name("st")), "run", f"{url}/openapi.json", "--seed", str(seed),
        "--max-examples", str(cases), "--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing",
        "--request-timeout", "30", "--continue-on-failure", "--warnings", "off", "--report", "ndjson",
        "--report-ndjson-path", str(report), "--suppress-health-check", "all",
    ]
    done = subprocess.run(command, cwd=folder, timeout=A_RUN_WITHIN, env=os.environ | {"NO_COLOR": "1"})
    return sum(requests(json.loads(line)) for line in report.read_text().splitlines()), done.returncode == 0


def requests(event: dict) -> int:
    """The requests that an event of the report tells of."""
    finished = event.get("ScenarioFinished")
    return len(finished["recorder"].get("interactions", {})) if finished else 0


def main() -> int:
    if len(sys.argv) not in (2, 3):
        print("usage: fuzz.py BROWNOUT [REQUESTS]", file=sys.stderr)
        return 2
    wanted = int(sys.argv[2]) if len(sys.argv) == 3 else REQUESTS
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        world = World(Path(sys.argv[1]).resolve(), folder)
        with world.provider() as provider, world.service(provider, SETTINGS) as service:
            sent = 0
            for seed in range(1, RUNS + 1):
                made, well = fuzz(service.url, seed, max(20, wanted // 6), folder)
                sent += made
                if not well:
                    return 1
                if sent >= wanted:
                    break
    print(f"{sent} requests, none answered with a server error or with what the description does not have")
    return 0 if sent >= wanted else 1


if __name__ == "__main__":
    sys.exit(main())
