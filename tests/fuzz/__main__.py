"""Command line: `python -m tests.fuzz pictures runs --count 500`; prints every failure with the seed that repeats it."""

import argparse
import functools
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.fuzz import harness, kills, pictures, runs, weights

# Kind: number of cases by default, and the case, of its folder and a random generator.
KINDS = {
    "pictures": (2000, lambda folder, rng: pictures.damaged_picture(rng)),
    "runs": (500, runs.damaged_run),
    "records": (400, runs.damaged_record),
    "checkpoints": (300, runs.damaged_checkpoint),
    "cache": (300, runs.damaged_program),
    "weights": (500, weights.damaged_weights),
    "kills": (100, kills.killed_run),
}


def main() -> int:
    """Runs the cases of the kinds asked for; returns 1 if one failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"any of {', '.join(KINDS)} (default: all)")
    defaults = ", ".join(f"{count} {kind}" for kind, (count, _) in KINDS.items())
    parser.add_argument("--count", type=int, help=f"number of cases of each kind (default: {defaults})")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="limit for each kind")
    options = parser.parse_args()
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        outside = Path(folder) / "outside"
        outside.mkdir()
        (outside / "precious").write_text("mine")
        for kind in options.kinds or KINDS:
            count, case = KINDS[kind]
            if kind == "weights":
                weights.make_networks_narrow()
            inside = Path(folder) / kind
            inside.mkdir()
            bound, count = functools.partial(case, inside), count if options.count is None else options.count
            hang_s = kills.HANG_S if kind == "kills" else harness.HANG_S
            limits: Any = {"seconds": options.seconds, "hang_s": hang_s}
            tally = harness.run_cases(kind, bound, count, seed=options.seed, outside=outside, **limits)
            print(tally, flush=True)
            failures += tally.failures
    print("\n".join(failures), file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
