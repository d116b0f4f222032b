"""A sweep on a Ray head of this machine, one of whose workers is killed half-way, against the same sweep one after the other.

    python experiments/006-scale/cluster.py FOLDER --jobs 32 --size 64 --steps 24

The worker is killed (SIGKILL) in the midst of a member that has a checkpoint, once half of them are done. The results are
compared byte for byte.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def main() -> None:
    """Prints seconds, what was killed, and how many results are the same bytes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, help="a new folder for both sweeps")
    parser.add_argument("--jobs", type=int, default=32)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=24)
    options = parser.parse_args()
    options.folder.mkdir()
    members = [f"size={options.size}", f"steps={options.steps}", f"seed={','.join(map(str, range(options.jobs)))}"]
    members += ["init=noise", "run.checkpoint_every_s=0.01"]
    on_ray, one_by_one = options.folder / "ray", options.folder / "basic"
    with sweep(on_ray, *members, "hydra/launcher=ray") as process:
        print(kill_one(on_ray, options.jobs // 2), flush=True)
        print_end("ray", process)
    with sweep(one_by_one, *members) as process:
        print_end("one after the other", process)
    compare(on_ray, one_by_one, options.jobs)


def sweep(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """A sweep that begins."""
    command = [sys.executable, "-m", "nst_jax.run", "-m", f"hydra.sweep.dir={folder}", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def print_end(name: str, process: "subprocess.Popen[str]") -> None:
    """Waits for a sweep and prints its last line."""
    began = time.perf_counter()
    last = process.communicate()[0].splitlines()[-1]
    print(f"{name}: {time.perf_counter() - began:.0f} s from here, exit {process.returncode}: {last}", flush=True)


def kill_one(folder: Path, after: int) -> str:
    """Kills the worker of a member that makes its steps, once `after` members are done; says which, and what it left."""
    while True:
        done = [*folder.glob("*/report.html")]
        for lock in sorted(folder.glob("*/.lock")) if len(done) >= after else []:
            kept = sorted(path.name for path in lock.with_name("checkpoints").glob("nst_jax-" + "[0-9]" * 8))
            if kept and not lock.with_name("result.png").exists() and (found := holders(lock)):
                os.kill(found[0], signal.SIGKILL)
                return f"killed the process of member {lock.parent.name}, {len(done)} being done; it left checkpoints {kept}"
        time.sleep(0.002)


def holders(file: Path) -> list[int]:
    """The processes that have a file open."""
    found = []
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.path.samefile(link, file):
                found.append(int(link.parts[2]))
        except OSError:
            continue
    return found


def compare(on_ray: Path, one_by_one: Path, jobs: int) -> None:
    """Prints how many results are the same, and what the record of the sweep on Ray says."""
    pairs = [[folder / str(number) / "result.png" for folder in (on_ray, one_by_one)] for number in range(jobs)]
    same = [a.exists() and a.read_bytes() == b.read_bytes() for a, b in pairs]
    statuses = [member["status"] for member in json.loads((on_ray / "sweep.json").read_text())["members"]]
    rows = len((on_ray / "table.csv").read_text().splitlines()) - 1
    print(f"{sum(same)} of {jobs} results are the same bytes; {statuses.count('done')} noted as done; {rows} rows in the table")


if __name__ == "__main__":
    main()
