"""One recorded run of any kind: from a config to a run folder."""

import logging
import os
import shutil
import time
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from nst_jax import job
from nst_jax.config.command_line import CommandLine
from nst_jax.config.compose import to_yaml
from nst_jax.distributed import initialize, is_coordinator, translate_device_errors
from nst_jax.errors import InputError, printable
from nst_jax.images.files import MIN_SIDE, WRITABLE, read_text, write_image
from nst_jax.images.video import film_record
from nst_jax.report.run_page import write_pages, write_report
from nst_jax.report.video import frame_steps, write_video
from nst_jax.runner.estimate import duration, estimate, first_line, learn
from nst_jax.runner.kinds import config_in, kind_of, prepare
from nst_jax.runner.prepare import Made, Prepared, silenced
from nst_jax.runner.profile import check_profile, profiling
from nst_jax.runner.worker import coordinator_callback, ignore_interrupts, worker_callback
from nst_jax.runs.callback import Recorder, interruptible
from nst_jax.runs.checkpoint import Checkpoints, discard
from nst_jax.runs.folder import RUN_FILES, RunFolder, create_run_folder, loss_terms, new_folder, resume_command
from nst_jax.runs.lock import run_lock
from nst_jax.runs.manifest import CONFIG_TEXT, end_manifest, provenance
from nst_jax.runs.progress import Progress, format_number, is_interactive, progress
from nst_jax.system.atomic_write import atomic_open, can_write, os_errors_as_input
from nst_jax.system.cli import INTERRUPTED
from nst_jax.system.compilation_cache import use_compilation_cache
from nst_jax.system.records import strict_json

_log = logging.getLogger(__name__)


def run_config(config: Any, line: CommandLine) -> int:
    """Runs a job, or this process's part of it, or shows its plan, as the command line asks; returns the exit code."""
    use_compilation_cache()
    if line.plan:
        from nst_jax.runner.plan import show_plan

        show_plan(config)
        return 0
    initialize(kind_of(config).hosts(config))
    with translate_device_errors():
        if is_coordinator():
            return conclude(*run(config), quiet=config.run.quiet, as_json=line.json, show=line.open)
        run_worker(prepare(silenced(config)))
        return 0


def run(config: Any, *, pages: bool = True) -> tuple[RunFolder, job.Result]:
    """Runs one job and leaves its record in `config.run.dir`.

    Args:
        config: of a kind in `nst_jax.runner.kinds.KINDS`.
        pages: write losses.png and report.html; of a member of a sweep, `nst_jax.report` writes them when they are wanted.

    Raises:
        InputError: anything the user can fix; nothing is compiled before the config is known to be sound.
    """
    prepared = prepare(config)
    with new_run(prepared) as folder:
        announce(prepared)
        prepared.kind.begin(prepared, folder)
        return folder, run_job(prepared, folder, pages=pages)


@contextmanager
def new_run(prepared: Prepared, lock_of: Path | None = None) -> Iterator[RunFolder]:
    """Creates the folder of the run, with this process as its only writer.

    Args:
        prepared: the run.
        lock_of: see `nst_jax.runs.lock.run_lock`.

    Raises:
        InputError: the folder holds files of another run, or the result would be too small to be read again.
    """
    size, (height, width) = prepared.spec.scales[-1].size, prepared.sizes[-1]
    if min(height, width) < MIN_SIDE:
        raise InputError(
            f"size must give a picture of at least {MIN_SIDE} pixels on each side, got {size}, which is {width}x{height};"
            " use a larger size"
        )
    check_output(prepared)
    check_profile(prepared)
    path = _folder(prepared.config.run.dir)
    with run_lock(path, lock_of):
        folder = create_run_folder(path, to_yaml(prepared.config))
        inputs = {role: picture.pixels for role, picture in prepared.pictures.items()}
        folder.write_inputs(inputs, prepared.spec.scales[-1].size)
        with record_failure(prepared, folder):
            yield folder


def output_file(config: Any) -> Path | None:
    """The file of `run.output`; in a folder it is named after the content. None if the result is in the run folder alone."""
    if config.run.output is None:
        return None
    path = Path(config.run.output)
    if not (path.is_dir() or config.run.output.endswith(("/", os.sep))):
        return path
    return path / f"{Path(config.content.path or config.content.name).stem}{Path(kind_of(config).result(config)).suffix}"


def result_file(folder: RunFolder) -> Path:
    """The picture or film that a finished run shows its user."""
    config = config_in(folder)
    return output_file(config) or folder.path / kind_of(config).result(config)


def check_output(prepared: Prepared) -> None:
    """Raises InputError unless `run.output` can be written, and is nobody else's file nor a name that the run writes."""
    file = output_file(prepared.config)
    if file is None:
        return
    ending = Path(kind_of(prepared.config).result(prepared.config)).suffix
    endings = WRITABLE if ending in WRITABLE else (ending,)
    if not ending:
        raise InputError(f"run.output must be left out where the result is a folder of frames, got {file}; copy frames/ then")
    if file.suffix.lower() not in endings:
        raise InputError(f"run.output must end in {', '.join(endings)}, got {file.name!r}; write {file.stem}{ending}")
    if not can_write(file.parent):
        raise InputError(
            f"run.output must be in a folder that can be written, got {file.parent}; choose another, such as ~/{file.name}"
        )
    if file.exists() and not _is_result(file):
        raise InputError(f"run.output must be a new file or an earlier result, got {file}, another file; choose another name")
    own = [Path(prepared.config.run.dir).absolute() / name for name in RUN_FILES] if prepared.config.run.dir else []
    if any(file.absolute().is_relative_to(name) for name in own):
        raise InputError(f"run.output must be no file that the run itself writes, got {file}; choose another name")
    for role, picture in prepared.pictures.items():
        if file.exists() and Path(picture.source).exists() and file.samefile(picture.source):
            raise InputError(f"run.output must not be the {role} picture, got {file}; choose another name")


def _is_result(file: Path) -> bool:
    try:
        return CONFIG_TEXT in (read_text(file) if file.suffix.lower() in WRITABLE else film_record(file))
    except InputError:
        return False


def _folder(path: str | None) -> Path:
    """The folder that was asked for, or a new one named after the time."""
    if path:
        return Path(os.path.expanduser(path))
    return new_folder(Path(time.strftime("runs/%Y-%m-%d_%H-%M-%S")), "change to a folder of your own, or give run.dir=DIR")


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


def run_job(
    prepared: Prepared,
    folder: RunFolder,
    position: job.JobState | None = None,
    observe: job.Callback | None = None,
    *,
    pages: bool = True,
) -> job.Result:
    """Runs the job and writes its record, from the beginning or from a position; `observe` sees and may stop it."""
    with progress(prepared.steps, quiet=prepared.config.run.quiet, scales=prepared.work) as bar:
        recorder = recorder_of(prepared, folder, bar, observe)
        with interruptible(recorder), profiling(prepared, folder, recorder) as (callback, chunk_at):
            observer = coordinator_callback(callback)
            made = prepared.kind.execute(prepared, observer, chunk_at, position, folder.path)
    write_record(prepared, recorder, made)
    if pages:
        write_pages(folder)
    learn(prepared, made.result)
    return made.result


def announce(prepared: Prepared) -> None:
    """Prints what will be made, on which device, and about how long it takes; on a terminal also what is compiled before."""
    _log.info("%s", first_line(prepared))
    found = estimate(prepared)
    if not found.known and is_interactive():
        _log.info(f"compiling {len(found.work)} programs, {duration(found.overhead)} the first time")


def run_worker(prepared: Prepared, position: job.JobState | None = None) -> None:
    """The part of every process but the first: it keeps no record and does what the first one broadcasts."""
    ignore_interrupts()
    prepared.kind.execute(prepared, worker_callback, (), position, None)


def recorder_of(prepared: Prepared, folder: RunFolder, bar: Progress, observe: job.Callback | None = None) -> Recorder:
    """The callback that keeps the record of a job."""
    settings = prepared.config.run
    checkpoints = Checkpoints(
        folder.checkpoints, settings.checkpoint_every_s, prepared.begun["settings_sha256"], prepared.begun.get("plan")
    )
    return Recorder(folder, bar, settings.log_every, snapshot_steps(prepared), checkpoints, observe)


def print_summary(folder: RunFolder, result: job.Result, quiet: bool) -> None:
    """Prints where the picture is, unless `quiet`."""
    if quiet:
        return
    file = result_file(folder)
    where = os.path.relpath(file) if file.is_relative_to(Path.cwd()) else file
    manifest = folder.read_manifest()
    loss, steps = format_number(result.rows[-1]["loss"]), manifest["steps"]
    error = manifest.get("normalized_error")  # of inversions
    said = "" if error is None else f", error {100 * error:.1f} % of the mean distance between pictures"
    print(printable(f"{where}: loss {loss} after {steps} steps, {result.seconds['total']:.0f} s{said}"), flush=True)


def summary(folder: RunFolder) -> dict[str, Any]:
    """What a finished run has come to, for programs."""
    manifest, row = folder.read_manifest(), folder.last_row()
    facts = {
        "result": str(result_file(folder).absolute()),
        "folder": str(folder.path.absolute()),
        **{key: manifest.get(key) for key in ("status", "steps")},
        "losses": {key: row.get(key) for key in loss_terms(row)},
        "seconds": manifest.get("seconds", {}).get("total"),
    }
    return facts | {key: manifest[key] for key in ("normalized_error",) if key in manifest}


def conclude(
    folder: RunFolder, result: job.Result | None, quiet: bool = False, as_json: bool = False, show: bool = False
) -> int:
    """Ends the command line of a run.

    Args:
        folder: of the run.
        result: None if it had been there already.
        quiet: whether to print nothing.
        as_json: whether to print `summary` instead of a sentence.
        show: whether to open the picture in the program that shows pictures.

    Returns:
        The exit code.
    """
    if not is_coordinator():
        return 0
    if as_json:
        print(strict_json(summary(folder)), flush=True)
    elif result is not None:
        print_summary(folder, result, quiet)
    elif not quiet:
        print(printable(f"{folder.result}: the run has finished already; nothing to do"))
    if show:
        webbrowser.open(result_file(folder).absolute().as_uri())
    return INTERRUPTED if result is not None and result.stopped else 0


def snapshot_steps(prepared: Prepared) -> Sequence[int]:
    """The steps whose pictures are kept."""
    run, steps = prepared.config.run, [scale.steps for scale in prepared.spec.scales]
    regular = range(run.snapshot_every, sum(steps) + 1, run.snapshot_every) if run.snapshot_every else ()
    return sorted({*regular, *(frame_steps(steps) if run.video else ())})


def write_record(prepared: Prepared, recorder: Recorder, made: Made) -> None:
    """Writes the pictures, the video if one is wanted, and the manifest."""
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
    text = provenance(to_yaml(prepared.config, record=False), manifest)
    folder.write_result(result.pixels, text)
    notices = prepared.kind.finish(prepared, folder, strict_json(text))
    made_for = folder.path / prepared.kind.result(prepared.config)
    for file in {made_for, output_file(prepared.config)} - {folder.result, None}:
        with os_errors_as_input(file):
            file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix.lower() in WRITABLE:
            write_image(file, result.pixels, text=text)
        elif file != made_for and made_for.is_file():  # a film
            with atomic_open(file) as stream, made_for.open("rb") as source:
                shutil.copyfileobj(source, stream)
    for notice in [*notices, *(write_video(folder) if prepared.config.run.video else [])]:
        _log.info("%s", notice)
    folder.write_manifest(manifest)
    if status == "finished":
        discard(folder.checkpoints)
