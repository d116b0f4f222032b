"""One recorded run: a config in, a run folder out. What comes before the job, and what is kept after it."""

import functools
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from nst_jax import job
from nst_jax.compose import to_yaml
from nst_jax.config import Config, PictureConfig
from nst_jax.errors import InputError
from nst_jax.images.files import Picture, read_image
from nst_jax.images.masks import Mask, as_mask
from nst_jax.images.named import find_image
from nst_jax.networks import Network, load, weights
from nst_jax.preview import preview
from nst_jax.processes import follow, ignore_interrupts, lead
from nst_jax.runs.checkpoint import Checkpoints, discard
from nst_jax.runs.claim import sole_writer
from nst_jax.runs.folder import RunFolder, create_run_folder, how_to_go_on
from nst_jax.runs.manifest import begin_manifest, end_manifest, provenance
from nst_jax.runs.movie import frame_steps, write_movie
from nst_jax.runs.plots import plot_losses
from nst_jax.runs.progress import Progress, progress, short
from nst_jax.runs.recorder import Recorder, interruptible
from nst_jax.runs.report import write_report
from nst_jax.spec import to_spec

# `init` of a member of a sweep that goes on from the picture of the one before.
PREVIOUS = "previous"


@dataclass(frozen=True)
class Prepared:
    """A job whose config is checked and whose pictures are read.

    Attributes:
        config: as it was given.
        spec: what it describes.
        pictures: by role: "content", "style" (and "style2", "style3", ... of several), "init" if the job starts from a file,
            "mask", "mask2", ... of regions, "style_mask", "style_mask2", ... of styles; "mask2" is missing if it is the rest.
        network: with its parameters.
        begun: the manifest as the run begins.
        seconds: that the preparation took.
    """

    config: Config
    spec: job.JobSpec
    pictures: dict[str, Picture]
    network: Network
    begun: dict[str, Any]
    seconds: float

    @property
    def inputs(self) -> job.Inputs:
        """The pixels of the pictures."""
        return _inputs(self.config, self.pictures)


def run(config: Config) -> tuple[RunFolder, job.Outcome]:
    """Runs one job and leaves its record in `config.run.dir`.

    Raises:
        InputError: anything a user can mend; nothing is compiled before the config is known to be sound.
    """
    prepared = prepare(config)
    with claimed(prepared) as folder:
        if config.preview:
            say(config)(f"preview: {folder.write_preview(_preview(config, prepared.spec, prepared.pictures))}")
        return folder, perform(prepared, folder)


@contextmanager
def claimed(prepared: Prepared) -> Iterator[RunFolder]:
    """The folder of the run, made for it, and this process its only writer."""
    path = Path(prepared.config.run.dir or time.strftime("runs/%Y-%m-%d_%H-%M-%S"))
    with sole_writer(path):
        folder = create_run_folder(path, to_yaml(prepared.config))
        inputs = {role: picture.pixels for role, picture in prepared.pictures.items()}
        folder.write_inputs(inputs, prepared.spec.scales[-1].size)
        with failure_kept(prepared, folder):
            yield folder


@contextmanager
def failure_kept(prepared: Prepared, folder: RunFolder) -> Iterator[None]:
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
            raise InputError(f"{error}; to go on then: {how_to_go_on(folder.path)}") from error
        raise


def perform(prepared: Prepared, folder: RunFolder, position: job.Position | None = None) -> job.Outcome:
    """The job with its record, from the beginning or from a position."""
    with progress(sum(scale.steps for scale in prepared.spec.scales), quiet=prepared.config.run.quiet) as bar:
        recorder = recorder_of(prepared, folder, bar)
        with interruptible(recorder):
            outcome = job.transfer(
                *(prepared.network.params, prepared.inputs, prepared.spec),
                observe=lead(recorder), chunk_at=recorder.snapshot_at, resume=position,
            )  # fmt: skip
    keep(prepared, recorder, outcome)
    return outcome


def accompany(prepared: Prepared, position: job.Position | None = None) -> None:
    """The part of every process but the first in a job: no record, and what the first one tells."""
    ignore_interrupts()
    job.transfer(prepared.network.params, prepared.inputs, prepared.spec, observe=follow, resume=position)


def recorder_of(prepared: Prepared, folder: RunFolder, bar: Progress) -> Recorder:
    """The one who keeps the record of the job."""
    settings = prepared.config.run
    checkpoints = Checkpoints(folder.checkpoints, settings.checkpoint_every_s)
    return Recorder(folder, bar, settings.log_every, look_at(prepared), checkpoints)


def tell(folder: RunFolder, outcome: job.Outcome, quiet: bool) -> None:
    """Says where the picture is, if not `quiet`."""
    if not quiet:
        where = os.path.relpath(folder.result) if folder.result.is_relative_to(Path.cwd()) else folder.result
        loss, steps = short(outcome.rows[-1]["loss"]), outcome.rows[-1]["step"]
        print(f"{where}: loss {loss} after {steps} steps, {outcome.seconds['total']:.0f} s", flush=True)


def prepare(config: Config) -> Prepared:
    """Checks the config, reads the pictures and the network's parameters.

    Raises:
        InputError: anything a user can mend.
    """
    began = time.perf_counter()
    spec = specify(config)
    pictures = _pictures(config, spec, say(config))
    job.check_pictures(_inputs(config, pictures), spec)
    network = _network(config.network.name, spec.objective.network.convolution, spec.objective.taps)
    begun = begin_manifest(
        command=sys.orig_argv,
        seed=spec.seed,
        inputs={role: {"source": picture.source, "sha256": picture.sha256} for role, picture in pictures.items()},
        params={"name": config.network.name, "sha256": weights.file_sha256(config.network.name)},
        notices=[f"{role}: {notice}" for role, picture in pictures.items() for notice in picture.notices],
    )
    return Prepared(config, spec, pictures, network, begun, time.perf_counter() - began)


@functools.lru_cache(maxsize=1)  # the members of a sweep, one after the other, mostly have the same
def _network(name: str, convolution: str, taps: tuple[str, ...]) -> Network:
    return load(name, convolution=convolution, taps=taps)


def look_at(prepared: Prepared) -> Sequence[int]:
    """The steps whose pictures are kept."""
    run, steps = prepared.config.run, [scale.steps for scale in prepared.spec.scales]
    regular = range(run.snapshot_every, sum(steps) + 1, run.snapshot_every) if run.snapshot_every else ()
    return sorted({*regular, *(frame_steps(steps) if run.video else ())})


def keep(prepared: Prepared, recorder: Recorder, outcome: job.Outcome) -> None:
    """Writes the picture, the loss curves, the making-of if one is wanted, the manifest and the report."""
    folder, status = recorder.folder, "interrupted" if recorder.interrupted else "finished"
    if recorder.checkpoints:
        recorder.checkpoints.wait()
    manifest = end_manifest(
        prepared.begun,
        status=status,
        steps=outcome.rows[-1]["step"],
        seconds=outcome.seconds | {"total": outcome.seconds["total"] + prepared.seconds},
        recoveries=len(outcome.recoveries),
        pixels=outcome.pixels.shape[1] * outcome.pixels.shape[2],
    )
    folder.write_result(outcome.pixels, provenance(to_yaml(prepared.config, record=False), manifest))
    plot_losses(folder.losses, folder.read_metrics())
    for notice in write_movie(folder) if prepared.config.run.video else []:
        say(prepared.config)(notice)
    folder.write_manifest(manifest)
    write_report(folder)
    if status == "finished":
        discard(folder.checkpoints)


def specify(config: Config) -> job.JobSpec:
    """The checked description of the job that a config asks for."""
    return to_spec(config, architecture=weights.architecture(config.network.name))


def _pictures(config: Config, spec: job.JobSpec, tell: Callable[[str], None]) -> dict[str, Picture]:
    sources: dict[str, PictureConfig] = {"content": config.content, **_numbered("style", config.style.pictures)}
    sources |= _numbered("mask", map(_mask_source, config.mask.regions or []))
    sources |= _numbered("style_mask", map(_mask_source, config.mask.styles or []))
    if config.init == PREVIOUS:
        raise InputError(
            f"init={PREVIOUS} must be in a sweep that runs its members one by one; use -m, or the path of a picture"
        )
    if spec.init == "file":
        sources["init"] = PictureConfig("init", config.init)
    pictures = {role: read_picture(source, partial(_tell, tell, role)) for role, source in sources.items()}
    if spec.init == "adain":
        pictures["init"] = Picture(_preview(config, spec, pictures), weights.file_sha256("adain-decoder"), "adain", ())
    return pictures


def _tell(say: Callable[[str], None], role: str, notice: str) -> None:
    say(f"{role}: {notice}")


def _inputs(config: Config, pictures: dict[str, Picture]) -> job.Inputs:
    def masks(role: str, given: Sequence[str | None] | None) -> tuple[Mask | None, ...]:
        found = (pictures.get(_role(role, number)) for number in range(1, len(given or []) + 1))
        return tuple(None if picture is None else as_mask(picture.pixels) for picture in found)

    return job.Inputs(
        content=pictures["content"].pixels,
        styles=tuple(pictures[_role("style", number)].pixels for number in range(1, len(config.style.pictures) + 1)),
        init=pictures["init"].pixels if "init" in pictures else None,
        masks=masks("mask", config.mask.regions),
        style_masks=masks("style_mask", config.mask.styles),
    )


def _numbered(role: str, sources: Iterable[PictureConfig | None]) -> dict[str, PictureConfig]:
    return {_role(role, number): source for number, source in enumerate(sources, 1) if source is not None}


def _role(role: str, number: int) -> str:
    return role if number == 1 else f"{role}{number}"


def _mask_source(path: str | None) -> PictureConfig | None:
    return None if path in (None, "rest") else PictureConfig("mask", path)


def _preview(config: Config, spec: job.JobSpec, pictures: dict[str, Picture]) -> job.Pixels:
    return preview(pictures["content"].pixels, pictures["style"].pixels, size=spec.scales[-1].size, color=spec.color)


def read_picture(config: PictureConfig, tell: Callable[[str], None]) -> Picture:
    """The picture that a config names; `tell` hears its notices."""
    if config.path is None:
        return _named(config.name, tell)
    picture = read_image(Path(config.path).expanduser())
    for notice in picture.notices:
        tell(notice)
    return picture


_KNOWN: dict[str, Picture] = {}


def _named(name: str, tell: Callable[[str], None]) -> Picture:
    """A picture by name; the same process asks for it only once, since it may come from the network."""
    if name not in _KNOWN:
        _KNOWN[name] = find_image(name, notify=tell)
    return _KNOWN[name]


def quiet(config: Config) -> Config:
    """The config of a run that says nothing."""
    return replace(config, run=replace(config.run, quiet=True))


def say(config: Config) -> Callable[[str], None]:
    """How the user is told something: a line on standard error, or nothing at all."""
    return (lambda line: None) if config.run.quiet else (lambda line: print(line, file=sys.stderr, flush=True))
