"""Going on with a run that was killed, stopped or failed: from its last checkpoint, to the same bytes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from nst_jax import job
from nst_jax.config.compose import from_yaml
from nst_jax.config.schema import Config
from nst_jax.distributed import broadcast, initialize, is_coordinator
from nst_jax.errors import InputError
from nst_jax.runner.prepare import Prepared, prepare, reporter, silenced
from nst_jax.runner.run import record_failure, run_job, run_worker
from nst_jax.runs.checkpoint import discard, latest
from nst_jax.runs.diff import changes, describe_changes
from nst_jax.runs.folder import RunFolder
from nst_jax.runs.lock import run_lock
from nst_jax.runs.manifest import in_start_directory


def resume(path: Path) -> tuple[RunFolder, job.Result | None]:
    """Goes on with the run in the folder `path`; None if it has finished already.

    Raises:
        InputError: no run is there, another process is at it, its inputs have changed since, or anything else to mend.
    """
    folder = RunFolder(path)
    config = _recorded_config(folder)
    initialize(config.scale.hosts, needed=False)
    if not is_coordinator():
        return folder, _accompany(config, folder)
    if folder.manifest.exists() and folder.read_manifest()["status"] == "finished":
        discard(folder.checkpoints)
        return folder, None
    with run_lock(path):
        folder.reopen()
        before = folder.read_manifest() if folder.manifest.exists() else None
        with in_start_directory(before):
            prepared = prepare(config)
        if before:
            prepared = _same_run(prepared, before)
        with record_failure(prepared, folder):
            return folder, run_job(prepared, folder, _shared_place(prepared, _place(prepared, folder)))


def _accompany(config: Config, folder: RunFolder) -> None:
    """What all processes but the first do, unless there is nothing to do."""
    if folder.manifest.exists() and folder.read_manifest()["status"] == "finished":
        return
    prepared = prepare(silenced(config))
    run_worker(prepared, _shared_place(prepared, None))


def _recorded_config(folder: RunFolder) -> Config:
    config = from_yaml(folder.read_config(), f"config.yaml in {folder.path}")
    return replace(config, run=replace(config.run, dir=str(folder.path)))


def _same_run(prepared: Prepared, before: dict[str, Any]) -> Prepared:
    """The run as it began `before`: with its inputs, or not at all; with other versions, if it must be."""
    now, settings = prepared.begun, before.get("settings", prepared.begun["settings"])
    if what := describe_changes(changes(settings, now["settings"])):
        raise InputError(
            f"config.yaml must hold the settings that the run began with, got {what}; restore it, or begin a new run"
        )
    _check_unchanged("network parameters", prepared.begun["params"], before["params"])
    for role, facts in before["inputs"].items():
        _check_unchanged(role, prepared.begun["inputs"].get(role, {"sha256": None}), facts)
    if what := describe_changes(changes(before["versions"], now["versions"]) | changes(before["device"], now["device"])):
        notice = f"since the run began, {what}: the picture may differ from that of an unbroken run"
        reporter(prepared.config)(notice)
        now["notices"].append(notice)
    return replace(prepared, begun=now | {"started": before["started"]})


def _check_unchanged(what: str, now: dict[str, Any], before: dict[str, Any]) -> None:
    if now["sha256"] != before["sha256"]:
        raise InputError(
            f"{what} must be what the run began with, got {now.get('source', now.get('name'))} with other contents"
            f" (sha256 {before['sha256'][:12]} has become {str(now['sha256'])[:12]}); restore it, or begin a new run"
        )


def _shared_place(prepared: Prepared, place: job.JobState | None) -> job.JobState | None:
    """Where the first of several processes goes on, on all of them."""
    stage, left, step = broadcast(np.array(place[:3] if place else (-1, 0, 0)))
    if stage < 0:
        return None
    blank = job.state_shapes(job.plan(prepared.inputs, prepared.spec)[int(stage)], prepared.spec)
    state = place.state if place else jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), blank)
    seconds, recoveries = (place.seconds, place.recoveries) if place else ({"steps": 0.0, "total": 0.0}, ())
    return job.JobState(int(stage), int(left), int(step), seconds, recoveries, broadcast(state))


def _place(prepared: Prepared, folder: RunFolder) -> job.JobState | None:
    """Where to go on; the metrics are cut to what they were there."""
    tell = reporter(prepared.config)
    stages = job.plan(prepared.inputs, prepared.spec)
    shapes = lambda number: job.state_shapes(stages[number], prepared.spec)  # noqa: E731
    found = latest(folder.checkpoints, shapes, folder.metrics_bytes(), prepared.begun["settings_sha256"], tell)
    position, length = found or (None, 0)
    folder.cut_metrics(length)
    tell(f"going on from step {position.step}" if position else "no checkpoint: beginning again")
    return position
