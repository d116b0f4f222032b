"""How much of a default run goes into its record: the seconds of the observer and of what is written around the job."""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nst_jax.config.compose import make_config
from nst_jax.runner import run as perform
from nst_jax.runs import checkpoint
from nst_jax.runs.callback import Recorder
from nst_jax.system.compilation_cache import use_compilation_cache


def main() -> None:
    """Runs one job with every part of the record timed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, help="a new folder for the run")
    parser.add_argument("--size", type=int, default=384)
    options = parser.parse_args()
    spent: dict[str, list[float]] = defaultdict(list)

    def timed(what: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                spent[what].append(time.perf_counter() - began)

        return call

    Recorder.__call__ = timed("the observer: metrics, pictures, copies of the state", Recorder.__call__)
    checkpoint._write = timed("checkpoints, in a thread beside the job", checkpoint._write)
    perform.create_run_folder = timed("the folder", perform.create_run_folder)
    for name in ("plot_losses", "write_report"):
        setattr(perform, name, timed(name, getattr(perform, name)))
    use_compilation_cache()
    began = time.perf_counter()
    perform.run(make_config({"size": options.size, "run": {"dir": str(options.folder), "snapshot_every": 50}}))
    total = time.perf_counter() - began
    print(f"total: {total:.1f} s")
    for what, seconds in spent.items():
        print(f"{what}: {len(seconds)} times, {sum(seconds):.2f} s, {sum(seconds) / total:.2%}")


if __name__ == "__main__":
    main()
