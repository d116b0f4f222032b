"""The kinds of runs, and reading the config of a recorded one. A new kind is one more entry of `KINDS`."""

import os
from dataclasses import asdict, replace
from typing import Any

import jax

from nst_jax.config.compose import from_yaml, to_yaml
from nst_jax.distributed import same_everywhere
from nst_jax.errors import InputError
from nst_jax.invert.run import INVERSION
from nst_jax.job.memory_plan import TILES, choose_plan
from nst_jax.networks.convnet import REMAT
from nst_jax.partition import ExecutionPlan
from nst_jax.runner.prepare import TRANSFER, Kind, Prepared
from nst_jax.runs.folder import RunFolder
from nst_jax.video.run import VIDEO

KINDS = {kind.name: kind for kind in (TRANSFER, INVERSION, VIDEO)}


def kind_of(config: Any) -> Kind:
    """The kind of run that a config describes."""
    return KINDS[config.kind]


def prepare(config: Any) -> Prepared:
    """Checks a config of any kind, reads its inputs, and chooses how each scale is executed.

    Raises:
        InputError: anything the user can fix; on every process if they have other settings, inputs or parameters.
    """
    prepared = kind_of(config).prepare(config)
    _check_processes(prepared)  # they choose together
    regions, jobs = max(1, len(prepared.inputs.masks)), prepared.jobs if prepared.jobs > 1 else 0
    return with_plans(prepared, [choose_plan(prepared.spec, size, regions=regions, jobs=jobs) for size in prepared.sizes])


def _check_processes(prepared: Prepared) -> None:
    """Raises InputError, on every process, unless all have the same settings, inputs and parameters."""
    begun = prepared.begun
    hashes = [begun["params"]["sha256"], *(facts["sha256"] for facts in begun["inputs"].values())]
    if not same_everywhere(f"{to_yaml(prepared.config, record=False)} {hashes}"):
        raise InputError(
            "all processes must have the same settings, input pictures and network parameters, got others on some;"
            " start each with the same command, and check its files"
        )


def as_recorded(prepared: Prepared, plan: Any) -> Prepared:
    """The run executed as its record says, whatever memory is free now, if this machine has the devices for it.

    Several processes do not use it: only the first one has the record.
    """
    try:
        plans = [ExecutionPlan(str(one["remat"]), int(one["tile"]), int(one["devices"])) for one in plan]
    except (TypeError, KeyError, ValueError):
        return prepared
    tiles = (*TILES, prepared.spec.plan_settings.get("tile", 0))
    fits = all(one.remat in REMAT and one.tile in tiles and 1 <= one.devices <= jax.device_count() for one in plans)
    alike = len(plans) == len(prepared.spec.scales) and jax.process_count() == 1
    return with_plans(prepared, plans) if fits and alike else prepared


def with_plans(prepared: Prepared, plans: list[ExecutionPlan]) -> Prepared:
    """The run with a plan for each scale, also in its record."""
    begun = prepared.begun | {"plan": [asdict(plan) for plan in plans]}
    return replace(prepared, spec=replace(prepared.spec, plans=tuple(plans)), begun=begun)


def recorded_config(text: str, source: str) -> Any:
    """The config in a record, of any kind. Raises an InputError if it cannot be read."""
    return from_yaml(text, source, [kind.schema for kind in KINDS.values()])


def config_in(folder: RunFolder) -> Any:
    """The config of a run folder. Raises an InputError if it cannot be read."""
    config = recorded_config(folder.read_config(), f"config.yaml in {folder.path}")
    return replace(config, run=replace(config.run, dir=os.fspath(folder.path)))
