"""Runs killed by SIGKILL at random moments, resumed, perhaps killed again: the bytes of an unbroken run, no file left over."""

import contextlib
import json
import multiprocessing
import os
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from nst_jax.images.files import write_image

HANG_S = 600
_COMMON = ["size=64", "run.quiet=true", "run.checkpoint_every_s=0.05", "seed=3"]
_LOSS = ["loss.content_layers=[relu2_1]", "loss.style_layers=[relu1_1,relu2_1]", "init=noise", "run.snapshot_every=25"]
# Module with `main`, its arguments, and the key of its folder.
KINDS = {
    "transfer": ("nst_jax.run", [*_COMMON, *_LOSS, "scales=[32,64]", "steps=[60,30]"], "run.dir"),
    "inversion": ("nst_jax.invert", [*_COMMON, "layer=relu2_1", "steps=60", "restarts=2"], "run.dir"),
    "sweep": ("nst_jax.run", [*_COMMON, *_LOSS, "steps=20", "-m", "loss.style_weight=1,3,10"], "hydra.sweep.dir"),
}
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["nst_jax.run", "nst_jax.invert.__main__", "nst_jax.sweeps.sweep", "orbax.checkpoint"])


def _main(module: str, arguments: list[str], log: Path) -> None:
    with log.open("a") as stream:
        for number in (1, 2):
            os.dup2(stream.fileno(), number)
    sys.argv = ["run.py", *arguments]
    main = __import__(module, fromlist=["main"])
    sys.exit((main.__main__ if module == "nst_jax.invert" else main).main())


def _start(module: str, arguments: list[str], log: Path) -> Any:
    process = _PROCESSES.Process(target=_main, args=(module, arguments, log))
    process.start()
    return process


def _end(process: Any, log: Path) -> None:
    process.join()
    assert process.exitcode == 0, log.read_text()[-2000:]


def _record(folder: Path) -> dict[str, Any]:
    """The names of all files, every PNG by its bytes, and the metrics without their seconds."""
    found: dict[str, Any] = {str(path.relative_to(folder)): "" for path in folder.rglob("*") if not path.is_dir()}
    for path in folder.rglob("*.png"):
        if path.parent != folder or (folder / "result.png").exists():  # the figures of a sweep show seconds
            found[str(path.relative_to(folder))] = path.read_bytes()
    for path in folder.rglob("metrics.jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        found[str(path.relative_to(folder))] = [{key: row[key] for key in row if key != "seconds"} for row in rows]
    return found


@cache
def _unbroken(folder: Path, kind: str) -> tuple[dict[str, Any], float, list[str]]:
    """The record of a run that nobody kills, how many seconds the second one takes, and the arguments."""
    module, arguments, key = KINDS[kind]
    generator = np.random.default_rng(0)
    roles = ("content", "style") if "invert" not in module else ("content",)
    for role in roles:
        write_image(folder / f"{role}.png", generator.random((1, 48, 64, 3), np.float32))
    arguments = [*arguments, *(f"{role}.path={folder / role}.png" for role in roles)]
    records, seconds = [], 0.0
    for name in ("first", "second"):  # the first one compiles
        began = time.monotonic()
        _end(_start(module, [*arguments, f"{key}={folder / kind}-{name}"], folder / "log"), folder / "log")
        records.append(_record(folder / f"{kind}-{name}"))
        seconds = time.monotonic() - began
    assert records[0] == records[1], "two unbroken runs differ"
    return records[0], seconds, arguments


def killed_run(folder: Path, rng: np.random.Generator) -> str:
    """One case: a run killed once or more often, and resumed to its end."""
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder / "cache"))
    kind = str(rng.choice(list(KINDS)))
    expected, seconds, arguments = _unbroken(folder, kind)
    module, _, key = KINDS[kind]
    case, log = folder / f"{kind}-{rng.integers(2**62)}", folder / "log"
    marks = "config.yaml", "sweep.json"
    for _ in range(int(rng.integers(1, 4))):
        begun = any((case / mark).exists() for mark in marks)
        process = _start(module, ["--resume", str(case)] if begun else [*arguments, f"{key}={case}"], log)
        process.join(rng.uniform(0.2, 1.0) * seconds)
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.join()
    begun, ended = any((case / mark).exists() for mark in marks), (case / "report.html").exists()
    _end(_start(module, ["--resume", str(case)] if begun else [*arguments, f"{key}={case}"], log), log)
    found = _record(case)
    assert found == expected, [name for name in {*found, *expected} if found.get(name) != expected.get(name)]
    return f"{kind} {'after its end' if ended else 'on the way' if begun else 'before its record'}"
