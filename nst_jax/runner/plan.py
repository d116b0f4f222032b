"""`python -m nst_jax.run --plan ...`: how a job will be run, and the memory it takes, without running it."""

from rich.console import Console
from rich.table import Table

from nst_jax import job
from nst_jax.config.schema import Config
from nst_jax.distributed import num_shards
from nst_jax.job.compile import compile_in_background
from nst_jax.job.memory_plan import needed_bytes
from nst_jax.runner.prepare import prepare
from nst_jax.system.memory import available_bytes

_COLUMNS = ("scale", "picture", "steps", "devices", "tiles", "anew", "a step", "in all", "free")
_LEGEND = """anew: what is computed a second time, to save memory
a step, in all, free: memory on each device, of the compiled step beside its arrays, expected of the job, and there now"""


def show_plan(config: Config) -> None:
    """Compiles the programs of every scale, and prints what was chosen for it and what it takes on each device.

    Raises:
        InputError: anything a user can mend.
    """
    prepared = prepare(config)
    stages = job.plan(prepared.inputs, prepared.spec)
    table = Table(*_COLUMNS, box=None, header_style="bold")
    needs = [job.needs(prepared.params, stage, prepared.spec) for stage in stages]
    with compile_in_background(needs) as pending:
        for stage, need, compiled in zip(stages, needs, pending, strict=True):
            objective, (height, width) = need.objective, stage.content.shape[1:3]
            tile, devices = int(objective.tile), int(objective.devices)
            expected = needed_bytes(
                objective.network.remat, tile, height * width, devices, num_shards((height, width), devices)
            )
            table.add_row(
                *(str(stage.scale.size), f"{width}x{height}", str(stage.scale.steps), str(devices)),
                *(f"{tile} px" if tile else "whole", objective.network.remat.replace("none", "nothing")),
                *(
                    _gigabytes(compiled.result().programs.step_bytes),
                    _gigabytes(expected),
                    _gigabytes(available_bytes(devices)),
                ),
            )
    console = Console()
    console.print(table)
    console.print(_LEGEND, style="dim")


def _gigabytes(number: int | None) -> str:
    return "unknown" if number is None else f"{number / 2**30:.1f} GiB"
