"""Resuming a run that was killed, stopped or failed, from its last checkpoint, to the same bytes."""

import logging
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from nst_jax import job
from nst_jax.config.compose import check_imported
from nst_jax.distributed import broadcast, initialize, is_coordinator
from nst_jax.errors import InputError
from nst_jax.report.run_page import write_pages
from nst_jax.runner.kinds import as_recorded, config_in, kind_of, prepare
from nst_jax.runner.prepare import Prepared, silenced
from nst_jax.runner.run import check_output, record_failure, run_job, run_worker
from nst_jax.runs.checkpoint import discard, latest, recorded_plan
from nst_jax.runs.diff import changes, describe_changes
from nst_jax.runs.folder import RunFolder
from nst_jax.runs.lock import run_lock
from nst_jax.runs.manifest import in_start_directory
from nst_jax.runs.schema import Begun

_log = logging.getLogger(__name__)


def resume(
    path: Path, *, quiet: bool = False, observe: job.Callback | None = None, pages: bool = True
) -> tuple[RunFolder, job.Result | None]:
    """Continues the run in the folder `path`, or begins it; None if it has finished already.

    Args:
        path: of the run.
        quiet: print errors only.
        observe: called after each chunk of steps; True stops the run as Ctrl-C does.
        pages: see `nst_jax.runner.run.run`.

    Raises:
        InputError: no run is there, another process is writing it, its settings or inputs have changed, or anything else
            the user can fix.
    """
    folder = RunFolder(path)
    config = silenced(config_in(folder)) if quiet else config_in(folder)
    check_imported(config, f"config.yaml in {path}", "give each again: nst_jax.run --resume DIR --import MODULE")
    initialize(kind_of(config).hosts(config), needed=False)
    if folder.manifest.exists() and folder.read_manifest()["status"] == "finished":
        if is_coordinator():
            _tidy(folder, pages)
        return folder, None
    if not is_coordinator():
        prepared = prepare(silenced(config))
        run_worker(prepared, _broadcast_position(prepared, None))
        return folder, None
    with run_lock(path):
        folder.reopen()
        before = folder.read_manifest(Begun) if folder.manifest.exists() else None
        with in_start_directory(before):
            prepared = prepare(config)
        if before:
            prepared = _same_run(prepared, before)
        prepared = _same_plan(prepared, recorded_plan(folder.checkpoints) or (before or {}).get("plan"))
        check_output(prepared)
        with record_failure(prepared, folder):
            position = _broadcast_position(prepared, _position(prepared, folder))
            return folder, run_job(prepared, folder, position, observe, pages=pages)


def _tidy(folder: RunFolder, pages: bool) -> None:
    """What a run that was killed right after its end has left undone, if the folder is writable."""
    with suppress(InputError), run_lock(folder.path):
        folder.reopen()
        discard(folder.checkpoints)
        if pages and not (folder.path / "report.html").exists():
            write_pages(folder)


def _same_run(prepared: Prepared, before: dict[str, Any]) -> Prepared:
    """The run with the start time of its manifest `before`; other versions are a notice, other settings or inputs an error."""
    now = prepared.begun
    if what := describe_changes(changes(before["settings"], now["settings"])):
        raise InputError(
            f"config.yaml must hold the settings that the run began with, got {what}; restore it, or begin a new run"
        )
    _check_unchanged("network parameters", prepared.begun["params"], before["params"])
    for role, facts in before["inputs"].items():
        _check_unchanged(role, prepared.begun["inputs"].get(role, {"sha256": None}), facts)
    if what := describe_changes(changes(before["versions"], now["versions"]) | changes(before["device"], now["device"])):
        notice = f"since the run began, {what}: the picture may differ from that of an unbroken run"
        _log.info("%s", notice)
        now["notices"].append(notice)
    return replace(prepared, begun=now | {"started": before["started"]})


def _same_plan(prepared: Prepared, plan: Any) -> Prepared:
    """The run executed as it was before, since another plan rounds differently; a notice if this machine cannot."""
    prepared = as_recorded(prepared, plan)
    if plan and prepared.begun.get("plan", plan) != plan:
        notice = "this machine cannot execute the run as it began: the picture may differ from that of an unbroken run"
        _log.info("%s", notice)
        prepared.begun["notices"].append(notice)
    return prepared


def _check_unchanged(what: str, now: dict[str, Any], before: dict[str, Any]) -> None:
    if now["sha256"] != before["sha256"]:
        raise InputError(
            f"{what} must be what the run began with, got {now.get('source', now.get('name'))} with other contents"
            f" (sha256 {before['sha256'][:12]} has become {str(now['sha256'])[:12]}); restore it, or begin a new run"
        )


def _broadcast_position(prepared: Prepared, position: job.JobState | None) -> job.JobState | None:
    """Gives every process the position of the first one."""
    if jax.process_count() == 1:
        return position
    stage, left, step = broadcast(np.array(position[:3] if position else (-1, 0, 0)))
    if stage < 0:
        return None
    blank = prepared.state_shapes(int(stage))
    state = position.state if position else jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), blank)
    seconds, recoveries = (position.seconds, position.recoveries) if position else ({"steps": 0.0, "total": 0.0}, ())
    return job.JobState(int(stage), int(left), int(step), seconds, recoveries, broadcast(state))


def _position(prepared: Prepared, folder: RunFolder) -> job.JobState | None:
    """The state to continue from; the metrics are truncated to it."""
    settings = prepared.begun["settings_sha256"]
    found = latest(folder.checkpoints, prepared.state_shapes, folder.metrics_bytes(), settings)
    position, length = found or (None, 0)
    folder.cut_metrics(length)
    _log.info("%s", f"going on from step {position.step}" if position else "no checkpoint: beginning again")
    return position
