"""`nst-jax ... --plan`: how a job will be run, and the time and memory it takes, without running it."""

import sys

from rich.console import Console
from rich.table import Table

from nst_jax import job
from nst_jax.config.schema import Config
from nst_jax.distributed import num_shards
from nst_jax.job.memory_plan import needed_bytes
from nst_jax.runner.estimate import duration, estimate
from nst_jax.runner.prepare import prepare
from nst_jax.system.memory import available_bytes

_COLUMNS = ("scale", "picture", "steps", "devices", "tiles", "anew", "memory", "free", "time")
_LEGEND = """anew: what is computed a second time, to save memory
memory, free: on each device, expected of the job, and there now"""


def show_plan(config: Config) -> None:
    """Prints what is chosen for every scale, and the time and the memory on each device that it will take.

    Raises:
        InputError: anything a user can mend.
    """
    prepared = prepare(config)
    stages = job.plan(prepared.inputs, prepared.spec)
    table = Table(*_COLUMNS, box=None, header_style="bold")
    found = estimate(prepared)
    for stage, work in zip(stages, found.work, strict=True):
        objective, (height, width) = job.needs(prepared.params, stage, prepared.spec).objective, stage.content.shape[1:3]
        tile, devices = int(objective.tile), int(objective.devices)
        expected = needed_bytes(objective.network.remat, tile, height * width, devices, num_shards((height, width), devices))
        table.add_row(
            *(str(stage.scale.size), f"{width}x{height}", str(stage.scale.steps), str(devices)),
            *(f"{tile} px" if tile else "whole", objective.network.remat.replace("none", "nothing")),
            *(_gigabytes(expected), _gigabytes(available_bytes(devices))),
            duration(work / found.rate).removeprefix("about ") if found.rate else "unknown",
        )
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(table)
    console.print(f"{_LEGEND}\nin all, with compiling: {duration(found.seconds)}", style="dim")


def _gigabytes(number: int | None) -> str:
    return "unknown" if number is None else f"{number / 2**30:.1f} GiB"
