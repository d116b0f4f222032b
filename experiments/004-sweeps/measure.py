"""Seconds of a sweep over weights at 128 pixels: one after another, together, and in processes of their own.

    python experiments/004-sweeps/measure.py basic|batched|processes [--members 16] loss=gatys

Each case is a command line of its own, from its start to its end. What it compiles is in the cache: run every case once before
it is timed.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SOME = 3  # of the processes of their own


def seconds(arguments: list[str], folder: Path) -> np.ndarray:
    """Seconds of one command line: on the clock, and of the processors."""
    began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "nst_jax.run", *arguments, f"hydra.sweep.dir={folder}", "run.quiet=true"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return np.array([time.perf_counter() - began, after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime])


def main() -> None:
    """Prints the seconds of one case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", choices=["basic", "batched", "processes"])
    parser.add_argument("--members", type=int, default=16)
    parser.add_argument("settings", nargs="*", help="of every run")
    options = parser.parse_intermixed_args()
    weights = [f"{weight:.6g}" for weight in np.geomspace(0.25, 2**5.5, options.members)]
    common = ["size=128", *options.settings]
    with tempfile.TemporaryDirectory() as scratch:
        if options.case == "processes":
            times = [
                seconds([*common, f"loss.style_weight={weight}", f"run.dir={scratch}/{i}"], Path(scratch))
                for i, weight in enumerate(weights[:SOME])
            ]
            took, what = options.members * np.mean(times, axis=0), f"{options.members} times the mean of {SOME}"
        else:
            sweep = ["-m", *common, f"loss.style_weight={','.join(weights)}", f"hydra/launcher={options.case}"]
            took, what = seconds(sweep, Path(scratch) / "all"), f"{options.members} members"
    print(f"{options.case}: {what}: clock and processor seconds {took.round(1)}")


if __name__ == "__main__":
    main()
