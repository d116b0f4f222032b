"""Command line: `python -m tests.fuzz --pictures 2000 --weights 500`; prints every failure with the seed that repeats it."""

import argparse
import functools
import sys
import tempfile
from pathlib import Path

from tests.fuzz import harness, pictures, weights


def main() -> int:
    """Run the asked-for numbers of cases; returns 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    for kind, count in (("pictures", 2000), ("weights", 500)):
        parser.add_argument(f"--{kind}", type=int, default=count, help=f"number of damaged {kind} (default: {count})")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="limit for each kind")
    options = parser.parse_args()
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        inside, outside = Path(folder) / "inside", Path(folder) / "outside"
        inside.mkdir()
        outside.mkdir()
        (outside / "precious").write_text("mine")
        weights.make_networks_narrow()
        cases = {"pictures": pictures.damaged_picture, "weights": functools.partial(weights.damaged_weights, inside)}
        for kind, case in cases.items():
            count = getattr(options, kind)
            tally = harness.run_cases(kind, case, count, seed=options.seed, seconds=options.seconds, outside=outside)
            print(tally, flush=True)
            failures += tally.failures
    print("\n".join(failures), file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
