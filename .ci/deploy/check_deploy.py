"""service/deploy without an engine or a cluster: python check_deploy.py BROWNOUT

Prints a line for every check; ends with 1 if one does not hold. Reaches nothing but loopback.
"""

import sys
import traceback
from pathlib import Path

import compose
import context
import image
import kubernetes
from running import Brownout

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__.splitlines()[0], file=sys.stderr)
        return 2
    brownout = Brownout(Path(sys.argv[1]).resolve())
    failed = []
    for check in (*context.CHECKS, *image.CHECKS, *compose.CHECKS, *kubernetes.CHECKS):
        try:
            check(ROOT, brownout)
        except Exception as error:
            failed.append(check.__doc__)
            print(f"FAILED   {check.__doc__}", flush=True)
            for line in traceback.format_exception(error):
                print("  " + line.rstrip().replace("\n", "\n  "), flush=True)
        else:
            print(f"holds    {check.__doc__}", flush=True)
    for name in failed:
        print(f"does not hold: {name}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
