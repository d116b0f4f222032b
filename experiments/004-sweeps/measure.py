"""Seconds of a sweep over 16 weights at 128 pixels: one after another, together, and in processes of their own.

    python experiments/004-sweeps/measure.py basic|batched|processes loss=gatys

Each case is a command line of its own, from its start to its end. What it compiles is in the cache: run every case once with
steps=1 before it is timed.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

WEIGHTS = [str(2.0 ** (i / 2 - 2)) for i in range(16)]
SOME = 3  # of the processes of their own


def seconds(arguments: list[str], folder: Path) -> np.ndarray:
    """Seconds of one command line: on the clock, and of the processors."""
    began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "nst_jax.run", *arguments, f"hydra.sweep.dir={folder}", "run.quiet=true"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return np.array([time.perf_counter() - began, after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime])


def main() -> None:
    """Prints the seconds of the case named first: basic, batched or processes; further arguments go to every run."""
    case, *common = sys.argv[1:]
    with tempfile.TemporaryDirectory() as scratch:
        common = ["size=128", *common]
        every = f"loss.style_weight={','.join(WEIGHTS)}"
        if case == "processes":
            times = [
                seconds([*common, f"loss.style_weight={weight}", f"run.dir={scratch}/{i}"], Path(scratch))
                for i, weight in enumerate(WEIGHTS[:SOME])
            ]
            print(
                f"processes: 16 times the mean of {SOME}: clock and processor seconds {(16 * np.mean(times, axis=0)).round(1)}"
            )
        else:
            took = seconds(["-m", *common, every, f"hydra/launcher={case}"], Path(scratch) / "all")
            print(f"{case}: clock and processor seconds {took.round(1)}")


if __name__ == "__main__":
    main()
