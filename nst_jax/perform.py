"""One recorded run: a config in, a run folder out. What comes before the job, and what is kept after it."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nst_jax import job
from nst_jax.compose import to_yaml
from nst_jax.config import Config, PictureConfig, to_spec
from nst_jax.images.files import Picture, read_image
from nst_jax.images.named import find_image
from nst_jax.networks import Network, load, weights
from nst_jax.preview import preview
from nst_jax.runs.folder import RunFolder, create_run_folder
from nst_jax.runs.manifest import build_manifest, provenance
from nst_jax.runs.movie import frame_steps, write_movie
from nst_jax.runs.plots import plot_losses
from nst_jax.runs.progress import progress
from nst_jax.runs.recorder import Recorder, interruptible
from nst_jax.runs.report import write_report


@dataclass(frozen=True)
class Prepared:
    """A job whose config is checked and whose pictures are read.

    Attributes:
        config: as it was given.
        spec: what it describes.
        pictures: by role: "content", "style", and "init" if the job starts from a file.
        network: with its parameters.
        began: when the preparation began, by `time.perf_counter`.
    """

    config: Config
    spec: job.JobSpec
    pictures: dict[str, Picture]
    network: Network
    began: float


def run(config: Config) -> tuple[RunFolder, job.Outcome]:
    """Runs one job and leaves its record in `config.run.dir`.

    Raises:
        InputError: anything a user can mend; nothing is compiled before the config is known to be sound.
    """
    prepared = prepare(config)
    folder = claim(prepared)
    try:
        if config.preview:
            show = _silent if config.run.quiet else _say
            show(f"preview: {folder.write_preview(_preview(config, prepared.spec, prepared.pictures))}")
        outcome = _transfer(prepared, folder)
        keep(prepared, folder, outcome)
    except BaseException:
        write_report(folder)  # of what there is
        raise
    return folder, outcome


def _transfer(prepared: Prepared, folder: RunFolder) -> job.Outcome:
    pictures, run, looks = prepared.pictures, prepared.config.run, look_at(prepared)
    with progress(sum(scale.steps for scale in prepared.spec.scales), quiet=run.quiet) as bar:
        recorder = Recorder(folder, bar, run.log_every, looks)
        start = pictures["init"].pixels if "init" in pictures else None
        with interruptible(recorder):
            return job.transfer(
                *(prepared.network.params, pictures["content"].pixels, pictures["style"].pixels, prepared.spec),
                init=start, observe=recorder, chunk_at=looks,
            )  # fmt: skip


def prepare(config: Config) -> Prepared:
    """Checks the config, reads the pictures and the network's parameters.

    Raises:
        InputError: anything a user can mend.
    """
    began = time.perf_counter()
    spec = specify(config)
    pictures = _pictures(config, spec, say=_silent if config.run.quiet else _say)
    job.check_pictures(pictures["content"].pixels, pictures["style"].pixels, spec)
    network = load(config.network.name, convolution=spec.objective.network.convolution, taps=spec.objective.taps)
    return Prepared(config, spec, pictures, network, began)


def claim(prepared: Prepared) -> RunFolder:
    """The folder of the run, made for it, with the pictures that the run is given."""
    config = prepared.config
    folder = create_run_folder(config.run.dir or time.strftime("runs/%Y-%m-%d_%H-%M-%S"), to_yaml(config))
    folder.write_inputs({role: picture.pixels for role, picture in prepared.pictures.items()}, prepared.spec.scales[-1].size)
    return folder


def look_at(prepared: Prepared) -> Sequence[int]:
    """The steps whose pictures are kept."""
    run, steps = prepared.config.run, [scale.steps for scale in prepared.spec.scales]
    regular = range(run.snapshot_every, sum(steps) + 1, run.snapshot_every) if run.snapshot_every else ()
    return sorted({*regular, *(frame_steps(steps) if run.video else ())})


def keep(prepared: Prepared, folder: RunFolder, outcome: job.Outcome) -> None:
    """Writes the picture, the loss curves, the manifest, the making-of if one is wanted, and the report."""
    config, pictures = prepared.config, prepared.pictures
    manifest = build_manifest(
        command=sys.orig_argv,
        seed=prepared.spec.seed,
        inputs={role: {"source": picture.source, "sha256": picture.sha256} for role, picture in pictures.items()},
        params={"name": config.network.name, "sha256": weights.file_sha256(config.network.name)},
        seconds=outcome.seconds | {"total": time.perf_counter() - prepared.began},
        notices=[f"{role}: {notice}" for role, picture in pictures.items() for notice in picture.notices],
        recoveries=len(outcome.recoveries),
        pixels=outcome.pixels.shape[1] * outcome.pixels.shape[2],
    )
    folder.write_result(outcome.pixels, provenance(to_yaml(config, record=False), manifest))
    plot_losses(folder.losses, outcome.rows)
    folder.write_manifest(manifest)
    for notice in write_movie(folder) if config.run.video else []:
        (_silent if config.run.quiet else _say)(notice)
    write_report(folder)


def specify(config: Config) -> job.JobSpec:
    """The checked description of the job that a config asks for."""
    return to_spec(config, architecture=weights.architecture(config.network.name))


def _pictures(config: Config, spec: job.JobSpec, say: Callable[[str], None]) -> dict[str, Picture]:
    pictures = {
        "content": _picture(config.content, lambda notice: say(f"content: {notice}")),
        "style": _picture(config.style, lambda notice: say(f"style: {notice}")),
    }
    if spec.init == "adain":
        pixels = _preview(config, spec, pictures)
        pictures["init"] = Picture(pixels, weights.file_sha256("adain-decoder"), "adain", ())
    if spec.init == "file":
        pictures["init"] = _picture(PictureConfig("init", config.init), lambda notice: say(f"init: {notice}"))
    return pictures


def _preview(config: Config, spec: job.JobSpec, pictures: dict[str, Picture]) -> job.Pixels:
    return preview(pictures["content"].pixels, pictures["style"].pixels, size=config.size, color=spec.color)


def _picture(config: PictureConfig, say: Callable[[str], None]) -> Picture:
    if config.path is None:
        return find_image(config.name, notify=say)
    picture = read_image(Path(config.path).expanduser())
    for notice in picture.notices:
        say(notice)
    return picture


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _silent(line: str) -> None:
    pass
