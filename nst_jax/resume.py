"""Going on with a run that was killed, stopped or failed: from its last checkpoint, to the same bytes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from nst_jax import job
from nst_jax.compose import from_yaml
from nst_jax.config import Config
from nst_jax.errors import InputError
from nst_jax.perform import Prepared, failure_kept, perform, prepare, say
from nst_jax.runs.checkpoint import discard, latest
from nst_jax.runs.claim import sole_writer
from nst_jax.runs.compare import changes, in_words
from nst_jax.runs.folder import RunFolder
from nst_jax.runs.manifest import where_it_began


def resume(path: Path) -> tuple[RunFolder, job.Outcome | None]:
    """Goes on with the run in the folder `path`; None if it has finished already.

    Raises:
        InputError: no run is there, another process is at it, its inputs have changed since, or anything else to mend.
    """
    folder = RunFolder(path)
    config = _recorded_config(folder)
    with sole_writer(path):
        before = folder.read_manifest() if folder.manifest.exists() else None
        if before and before["status"] == "finished":
            discard(folder.checkpoints)
            return folder, None
        with where_it_began(before):
            prepared = prepare(config)
        if before:
            prepared = _same_run(prepared, before)
        with failure_kept(prepared, folder):
            return folder, perform(prepared, folder, _place(prepared, folder))


def _recorded_config(folder: RunFolder) -> Config:
    config = from_yaml(folder.read_config(), f"config.yaml in {folder.path}")
    return replace(config, run=replace(config.run, dir=str(folder.path)))


def _same_run(prepared: Prepared, before: dict[str, Any]) -> Prepared:
    """The run as it began `before`: with its inputs, or not at all; with other versions, if it must be."""
    _check_unchanged("network parameters", prepared.begun["params"], before["params"])
    for role, facts in before["inputs"].items():
        _check_unchanged(role, prepared.begun["inputs"].get(role, {"sha256": None}), facts)
    now = prepared.begun
    if what := in_words(changes(before["versions"], now["versions"]) | changes(before["device"], now["device"])):
        notice = f"since the run began, {what}: the picture may differ from that of an unbroken run"
        say(prepared.config)(notice)
        now["notices"].append(notice)
    return replace(prepared, begun=now | {"started": before["started"]})


def _check_unchanged(what: str, now: dict[str, Any], before: dict[str, Any]) -> None:
    if now["sha256"] != before["sha256"]:
        raise InputError(
            f"{what} must be what the run began with, got {now.get('source', now.get('name'))} with other contents"
            f" (sha256 {before['sha256'][:12]} has become {str(now['sha256'])[:12]}); restore it, or begin a new run"
        )


def _place(prepared: Prepared, folder: RunFolder) -> job.Position | None:
    """Where to go on; the metrics are cut to what they were there."""
    tell = say(prepared.config)
    stages = job.plan(prepared.inputs, prepared.spec)
    shapes = lambda number: job.state_shapes(stages[number], prepared.spec)  # noqa: E731
    found = latest(folder.checkpoints, shapes, folder.metrics_bytes(), tell)
    position, length = found or (None, 0)
    folder.cut_metrics(length)
    tell(f"going on from step {position.step}" if position else "no checkpoint: beginning again")
    return position
