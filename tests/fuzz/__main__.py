"""Command line: `python -m tests.fuzz --pictures 2000 --runs 500`; prints every failure with the seed that repeats it."""

import argparse
import functools
import sys
import tempfile
from pathlib import Path

from tests.fuzz import harness, pictures, runs, weights

# Kind: number of cases by default, and the case, of its folder and a random generator.
KINDS = {
    "pictures": (2000, lambda folder, rng: pictures.damaged_picture(rng)),
    "runs": (500, runs.damaged_run),
    "records": (400, runs.damaged_record),
    "checkpoints": (300, runs.damaged_checkpoint),
    "cache": (300, runs.damaged_program),
    "weights": (500, weights.damaged_weights),
}


def main() -> int:
    """Run the asked-for numbers of cases; returns 1 if one failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    for kind, (count, _) in KINDS.items():
        parser.add_argument(f"--{kind}", type=int, default=count, help=f"number of cases (default: {count})")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="limit for each kind")
    options = parser.parse_args()
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        outside = Path(folder) / "outside"
        outside.mkdir()
        (outside / "precious").write_text("mine")
        weights.make_networks_narrow()
        for kind, (_, case) in KINDS.items():
            inside = Path(folder) / kind
            inside.mkdir()
            bound, count = functools.partial(case, inside), getattr(options, kind)
            tally = harness.run_cases(kind, bound, count, seed=options.seed, seconds=options.seconds, outside=outside)
            print(tally, flush=True)
            failures += tally.failures
    print("\n".join(failures), file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
