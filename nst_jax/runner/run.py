"""One recorded run of any kind: from a config to a run folder."""

import itertools
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from nst_jax import job
from nst_jax.config.compose import to_yaml
from nst_jax.distributed import is_coordinator, same_everywhere
from nst_jax.errors import InputError
from nst_jax.images.files import MIN_SIDE, fit_long_side, write_image
from nst_jax.report.plots import plot_losses
from nst_jax.report.run_page import write_report
from nst_jax.report.video import frame_steps, write_video
from nst_jax.runner.kinds import prepare
from nst_jax.runner.prepare import Made, Prepared, reporter
from nst_jax.runner.worker import coordinator_callback, ignore_interrupts, worker_callback
from nst_jax.runs.callback import Recorder, interruptible
from nst_jax.runs.checkpoint import Checkpoints, discard
from nst_jax.runs.folder import RunFolder, create_run_folder, resume_command
from nst_jax.runs.lock import run_lock
from nst_jax.runs.manifest import end_manifest, provenance
from nst_jax.runs.progress import Progress, format_number, progress
from nst_jax.system.atomic_write import os_errors_as_input
from nst_jax.system.cli import INTERRUPTED


def run(config: Any) -> tuple[RunFolder, job.Result]:
    """Runs one job and leaves its record in `config.run.dir`.

    Args:
        config: of a kind in `nst_jax.runner.kinds.KINDS`.

    Raises:
        InputError: anything the user can fix; nothing is compiled before the config is known to be sound.
    """
    prepared = prepare(config)
    with new_run(prepared) as folder:
        prepared.kind.begin(prepared, folder)
        return folder, run_job(prepared, folder)


@contextmanager
def new_run(prepared: Prepared, lock_of: Path | None = None) -> Iterator[RunFolder]:
    """Creates the folder of the run, with this process as its only writer.

    Args:
        prepared: the run.
        lock_of: see `nst_jax.runs.lock.run_lock`.

    Raises:
        InputError: the folder holds files of another run, or the result would be too small to be read again.
    """
    content, size = prepared.inputs.content, prepared.spec.scales[-1].size
    height, width = fit_long_side(content.shape[1], content.shape[2], size)
    if min(height, width) < MIN_SIDE:
        raise InputError(
            f"size must give a picture of at least {MIN_SIDE} pixels on each side, got {size}, which is {width}x{height};"
            " use a larger size"
        )
    path = _folder(prepared.config.run.dir)
    with run_lock(path, lock_of):
        folder = create_run_folder(path, to_yaml(prepared.config))
        inputs = {role: picture.pixels for role, picture in prepared.pictures.items()}
        folder.write_inputs(inputs, prepared.spec.scales[-1].size)
        with record_failure(prepared, folder):
            yield folder


def _folder(path: str | None) -> Path:
    """The folder that was asked for, or a new one named after the time."""
    if path:
        return Path(os.path.expanduser(path))
    stem = time.strftime("runs/%Y-%m-%d_%H-%M-%S")
    for number in itertools.count(1):
        new = Path(stem if number == 1 else f"{stem}-{number}")
        with os_errors_as_input(new), suppress(FileExistsError):
            new.mkdir(parents=True)
            return new
    raise AssertionError


@contextmanager
def record_failure(prepared: Prepared, folder: RunFolder) -> Iterator[None]:
    """While this lasts the manifest says that the run goes on; then how it ended, if that was without a picture."""
    folder.write_manifest(prepared.begun)
    try:
        yield
    except BaseException as error:
        status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        with suppress(InputError):  # the disk may be full
            folder.write_manifest(prepared.begun | {"status": status, "error": f"{type(error).__name__}: {error}"})
            write_report(folder)  # of what there is
        if isinstance(error, InputError):
            raise InputError(f"{error}; to go on then: {resume_command(folder.path)}") from error
        raise


def run_job(prepared: Prepared, folder: RunFolder, position: job.JobState | None = None) -> job.Result:
    """Runs the job and writes its record, from the beginning or from a position."""
    check_processes(prepared)
    with progress(prepared.steps, quiet=prepared.config.run.quiet, scales=prepared.spec.scales * prepared.jobs) as bar:
        recorder = recorder_of(prepared, folder, bar)
        with interruptible(recorder):
            made = prepared.kind.execute(prepared, coordinator_callback(recorder), recorder.snapshot_at, position)
    write_record(prepared, recorder, made)
    return made.result


def run_worker(prepared: Prepared, position: job.JobState | None = None) -> None:
    """The part of every process but the first: it keeps no record and does what the first one broadcasts."""
    ignore_interrupts()
    check_processes(prepared)
    prepared.kind.execute(prepared, worker_callback, (), position)


def check_processes(prepared: Prepared) -> None:
    """Raises InputError, on every process, unless all have the same settings, inputs and parameters."""
    begun = prepared.begun
    hashes = [begun["params"]["sha256"], *(facts["sha256"] for facts in begun["inputs"].values())]
    if not same_everywhere(f"{to_yaml(prepared.config, record=False)} {hashes}"):
        raise InputError(
            "all processes must have the same settings, input pictures and network parameters, got others on some;"
            " start each with the same command, and check its files"
        )


def recorder_of(prepared: Prepared, folder: RunFolder, bar: Progress) -> Recorder:
    """The callback that keeps the record of a job."""
    settings = prepared.config.run
    checkpoints = Checkpoints(folder.checkpoints, settings.checkpoint_every_s, prepared.begun["settings_sha256"])
    return Recorder(folder, bar, settings.log_every, snapshot_steps(prepared), checkpoints)


def print_summary(folder: RunFolder, result: job.Result, quiet: bool) -> None:
    """Prints where the picture is, unless `quiet`."""
    if quiet:
        return
    where = os.path.relpath(folder.result) if folder.result.is_relative_to(Path.cwd()) else folder.result
    manifest = folder.read_manifest()
    loss, steps = format_number(result.rows[-1]["loss"]), manifest["steps"]
    error = manifest.get("normalized_error")  # of inversions
    said = "" if error is None else f", error {100 * error:.1f} % of the mean distance between pictures"
    print(f"{where}: loss {loss} after {steps} steps, {result.seconds['total']:.0f} s{said}", flush=True)


def conclude(folder: RunFolder, result: job.Result | None, quiet: bool = False) -> int:
    """Prints where the picture is; returns the exit code. A result of None had been there already."""
    if result is not None:
        print_summary(folder, result, quiet)
        return INTERRUPTED if result.stopped else 0
    if is_coordinator():
        print(f"{folder.result}: the run has finished already; nothing to do")
    return 0


def snapshot_steps(prepared: Prepared) -> Sequence[int]:
    """The steps whose pictures are kept."""
    run, steps = prepared.config.run, [scale.steps for scale in prepared.spec.scales]
    regular = range(run.snapshot_every, sum(steps) + 1, run.snapshot_every) if run.snapshot_every else ()
    return sorted({*regular, *(frame_steps(steps) if run.video else ())})


def write_record(prepared: Prepared, recorder: Recorder, made: Made) -> None:
    """Writes the pictures, the loss curves, the video if one is wanted, the manifest and the report."""
    folder, result, status = recorder.folder, made.result, "interrupted" if recorder.interrupted else "finished"
    if recorder.checkpoints:
        recorder.checkpoints.wait()
    manifest = end_manifest(
        prepared.begun,
        status=status,
        steps=result.rows[-1]["step"],
        seconds=result.seconds | {"total": result.seconds["total"] + prepared.seconds},
        recoveries=len(result.recoveries),
        pixels=result.pixels.shape[1] * result.pixels.shape[2],
    )
    manifest |= made.facts
    for name, pixels in made.pictures.items():
        write_image(folder.path / name, pixels)
    folder.write_result(result.pixels, provenance(to_yaml(prepared.config, record=False), manifest))
    plot_losses(folder.losses, folder.read_metrics())
    for notice in write_video(folder) if prepared.config.run.video else []:
        reporter(prepared.config)(notice)
    folder.write_manifest(manifest)
    write_report(folder)
    if status == "finished":
        discard(folder.checkpoints)
