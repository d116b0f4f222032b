"""Kills a run at random moments, goes on with it, and compares what is left with the record of an unbroken run."""

import argparse
import json
import random
import subprocess
import sys
import time
from pathlib import Path

JOB = [
    *("size=48", "scales=[24,32,48]", "steps=[90,60,40]", "init=noise", "run.log_every=7", "run.snapshot_every=40"),
    *("loss.content_layers=[relu2_1]", "loss.style_layers=[relu1_1,relu2_1]", "run.checkpoint_every_s=0.2"),
]
RUN = [sys.executable, "-m", "nst_jax.run"]


def record(folder: Path) -> tuple[dict[str, bytes], list[dict[str, object]]]:
    """Every PNG by its bytes, and the metrics without their seconds."""
    pictures = {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*.png"))}
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return pictures, [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def killed(folder: Path, seconds: float) -> str:
    """A run in `folder`, killed after so many seconds; what the folder says then."""
    with subprocess.Popen([*RUN, *JOB, f"run.dir={folder}"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        time.sleep(seconds)
        ended = process.poll() is not None
        process.kill()
    if ended:
        return "ended before"
    steps = len((folder / "metrics.jsonl").read_text().splitlines()) if (folder / "metrics.jsonl").exists() else 0
    return f"killed with {steps} rows, {len(list((folder / 'checkpoints').glob('*')))} checkpoints"


def main() -> None:
    """Prints a line for each kill, and how many results were the same."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, help="a new folder for all runs")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random.seed(options.seed)
    for name in ("warm", "unbroken"):  # the first one compiles
        began = time.perf_counter()
        subprocess.run([*RUN, *JOB, f"run.dir={options.folder / name}", "run.quiet=true"], check=True)
        whole = time.perf_counter() - began
    expected = record(options.folder / "unbroken")
    print(f"unbroken: {whole:.1f} s, {len(expected[1])} rows, {len(expected[0])} pictures", flush=True)
    same = 0
    for number in range(options.kills):
        folder, moment = options.folder / f"{number:02}", random.uniform(0.25, 1.0) * whole
        how = killed(folder, moment)
        if not (folder / "config.yaml").exists():
            print(f"{number:2}: after {moment:.2f} s, {how}: no folder yet, so the run is started again", flush=True)
            subprocess.run([*RUN, *JOB, f"run.dir={folder}", "run.quiet=true"], check=True)
            said = ""
        else:
            done = subprocess.run([*RUN, "--resume", str(folder)], capture_output=True, text=True, check=True)
            said = (done.stderr.splitlines() or done.stdout.splitlines())[0]
        equal = record(folder) == expected
        same += equal
        print(f"{number:2}: after {moment:.2f} s, {how}; {said[:60]}; {'same' if equal else 'DIFFERENT'}", flush=True)
    print(f"{same} of {options.kills} results are the same bytes")


if __name__ == "__main__":
    main()
