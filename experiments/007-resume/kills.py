"""Kills runs at random steps, goes on with them, and compares what is left with the record of an unbroken run."""

import argparse
import json
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from nst_jax.images.files import write_image

STEPS = (90, 60, 40)
JOB = [
    *("scales=[24,32,48]", f"steps=[{','.join(map(str, STEPS))}]", "init=noise", "run.snapshot_every=40"),
    *("loss.content_layers=[relu2_1]", "loss.style_layers=[relu1_1,relu2_1]", "run.checkpoint_every_s=0.1"),
]
RUN = [sys.executable, "-m", "nst_jax.run"]


def record(folder: Path) -> tuple[dict[str, bytes], list[dict[str, object]]]:
    """Every PNG by its bytes, and the metrics without their seconds."""
    pictures = {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*.png"))}
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return pictures, [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def rows(folder: Path) -> int:
    """How many rows of metrics there are; -1 before there is a run."""
    file = folder / "metrics.jsonl"
    return len(file.read_bytes().splitlines()) if file.exists() else 0 if (folder / "config.yaml").exists() else -1


def kill_and_go_on(folder: Path, job: list[str], step: int, delay: float) -> str:
    """A run in `folder`, killed `delay` seconds after it has made so many steps, and gone on with; what happened, in words."""
    nowhere = subprocess.DEVNULL
    with subprocess.Popen([*RUN, *job, f"run.dir={folder}"], stdout=nowhere, stderr=nowhere) as process:
        while rows(folder) < step and process.poll() is None:
            time.sleep(0.002)
        time.sleep(delay)
        process.kill()
    made, kept = rows(folder), len([*(folder / "checkpoints").glob("*")])
    done = subprocess.run([*RUN, "--resume", str(folder)], capture_output=True, text=True, check=True)
    said = (done.stderr.splitlines() or done.stdout.splitlines())[0].replace(str(folder), "")
    return f"killed with {made} rows and {kept} checkpoints: {said[:60]}"


def main() -> None:
    """Prints a line for each kill, and how many results were the same."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, help="a new folder for all runs")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--at-once", type=int, default=1)
    options = parser.parse_args()
    options.folder.mkdir()
    pictures = np.random.default_rng(0)
    for name in ("content", "style"):
        write_image(options.folder / f"{name}.png", pictures.random((1, 40, 48, 3), np.float32))
    job = [*JOB, *(f"{name}.path={options.folder / name}.png" for name in ("content", "style"))]
    subprocess.run([*RUN, *job, f"run.dir={options.folder / 'unbroken'}", "run.quiet=true"], check=True)
    expected = record(options.folder / "unbroken")
    print(f"unbroken: {len(expected[1])} rows, {len(expected[0])} pictures", flush=True)
    random.seed(0)
    moments = [(random.randrange(sum(STEPS)), random.uniform(0, 0.3)) for _ in range(options.kills)]

    def one(number: int) -> bool:
        folder = options.folder / f"{number:02}"
        said = kill_and_go_on(folder, job, *moments[number])
        same = record(folder) == expected
        print(f"{number:2}: {said}; {'same' if same else 'DIFFERENT'}", flush=True)
        return same

    with ThreadPoolExecutor(options.at_once) as pool:
        same = sum(pool.map(one, range(options.kills)))
    print(f"{same} of {options.kills} results are the same bytes")


if __name__ == "__main__":
    main()
