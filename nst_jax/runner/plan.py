"""`nst-jax ... --plan`: the execution plan of a job, and the time and memory that it takes, without running it."""

import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from nst_jax import job
from nst_jax.job.memory_plan import job_bytes
from nst_jax.runner.estimate import duration, estimate
from nst_jax.runner.kinds import prepare
from nst_jax.system.memory import available_bytes

_COLUMNS = ("scale", "picture", "steps", "devices", "tiles", "recomputed", "memory", "available", "time")
_LEGEND = """recomputed: activations that the gradient recomputes instead of storing them, see network.remat
memory, available: on each device, expected of the job, and free now"""


def show_plan(config: Any) -> None:
    """Prints the plan of every scale, and the expected time and memory on each device.

    Raises:
        InputError: anything the user can fix.
    """
    prepared = prepare(config)
    stages = job.make_stages(prepared.inputs, prepared.spec)
    table = Table(*_COLUMNS, box=None, header_style="bold")
    found = estimate(prepared)
    for stage, work in zip(stages, found.work, strict=True):
        plan, (height, width) = job.compile_key(prepared.params, stage, prepared.spec).plan, stage.height_width
        expected = job_bytes(prepared.spec, plan, stage.height_width, regions=stage.regions)
        table.add_row(
            str(stage.scale.size),
            f"{width}x{height}",
            str(stage.scale.steps + stage.is_last * sum(scale.steps for scale in prepared.further)),
            str(plan.devices),
            f"{plan.tile} px" if plan.tile else "whole",
            plan.remat,
            _gigabytes(expected),
            _gigabytes(available_bytes(plan.devices)),
            duration(work / found.rate).removeprefix("about ") if found.rate else "unknown",
        )
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(table)
    console.print(f"{_LEGEND}\nin all, with compiling: {duration(found.seconds)}", style="dim")


def _gigabytes(number: int | None) -> str:
    return "unknown" if number is None else f"{number / 2**30:.1f} GiB"
