"""`python -m nst_jax.run style=starry content=tubingen`: compose the config, run the job, keep the record."""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf.errors import OmegaConfBaseException

from nst_jax import job
from nst_jax.cache import use_compilation_cache
from nst_jax.compose import as_config, explain, quote_paths, to_yaml
from nst_jax.config import Config, PictureConfig, to_spec
from nst_jax.errors import InputError
from nst_jax.images.files import Picture, read_image
from nst_jax.images.named import find_image
from nst_jax.networks import load, weights
from nst_jax.paths import data_folder
from nst_jax.runs.folder import RunFolder, create_run_folder
from nst_jax.runs.manifest import build_manifest, provenance
from nst_jax.runs.plots import plot_losses
from nst_jax.runs.progress import progress, short
from nst_jax.runs.recorder import Recorder, interruptible


def run(config: Config) -> tuple[RunFolder, job.Outcome]:
    """Runs one job and leaves its record in `config.run.dir`.

    Raises:
        InputError: anything a user can mend; nothing is compiled before the config is known to be sound.
    """
    began = time.perf_counter()
    spec = specify(config)
    pictures = _pictures(config, spec, say=_silent if config.run.quiet else _say)
    job.check_pictures(pictures["content"].pixels, pictures["style"].pixels, spec)
    network = load(config.network.name, convolution=spec.objective.network.convolution, taps=spec.objective.taps)
    folder = create_run_folder(config.run.dir or time.strftime("runs/%Y-%m-%d_%H-%M-%S"), to_yaml(config))
    with progress(sum(scale.steps for scale in spec.scales), quiet=config.run.quiet) as bar:
        recorder = Recorder(folder, bar, config.run.log_every, config.run.snapshot_every)
        start = pictures["init"].pixels if "init" in pictures else None
        with interruptible(recorder):
            outcome = job.transfer(
                *(network.params, pictures["content"].pixels, pictures["style"].pixels, spec),
                init=start, observe=recorder, chunk_at=config.run.snapshot_every,
            )  # fmt: skip
    manifest = build_manifest(
        command=sys.orig_argv,
        seed=spec.seed,
        inputs={role: {"source": picture.source, "sha256": picture.sha256} for role, picture in pictures.items()},
        params={"name": config.network.name, "sha256": weights.file_sha256(config.network.name)},
        seconds=outcome.seconds | {"total": time.perf_counter() - began},
        notices=[f"{role}: {notice}" for role, picture in pictures.items() for notice in picture.notices],
        recoveries=len(outcome.recoveries),
        pixels=outcome.pixels.shape[1] * outcome.pixels.shape[2],
    )
    folder.write_result(outcome.pixels, provenance(to_yaml(config, record=False), manifest))
    plot_losses(folder.losses, outcome.rows)
    folder.write_manifest(manifest)
    return folder, outcome


def specify(config: Config) -> job.JobSpec:
    """The checked description of the job that a config asks for."""
    return to_spec(config, architecture=weights.architecture(config.network.name))


def _pictures(config: Config, spec: job.JobSpec, say: Callable[[str], None]) -> dict[str, Picture]:
    pictures = {
        "content": _picture(config.content, lambda notice: say(f"content: {notice}")),
        "style": _picture(config.style, lambda notice: say(f"style: {notice}")),
    }
    if spec.init == "file":
        pictures["init"] = _picture(PictureConfig("init", config.init), lambda notice: say(f"init: {notice}"))
    return pictures


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


def compose_jobs() -> list[Config]:
    """The configs that the command line asks for: one, or with `-m` one for each member of the sweep.

    Raises:
        InputError: a group, a key or a value that there is not.
    """
    jobs: list[tuple[Any, str | None]] = []

    @hydra.main(version_base="1.3", config_path=str(data_folder("configs")), config_name="config")
    def keep(composed: Any) -> None:
        hydra_config = HydraConfig.get()
        jobs.append((composed, hydra_config.runtime.output_dir if hydra_config.mode == RunMode.MULTIRUN else None))

    try:
        keep()
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise InputError(explain(error)) from error
    return [_in_folder(as_config(composed), folder) for composed, folder in jobs]


def _in_folder(config: Config, folder: str | None) -> Config:
    """The config with the folder that a sweep has made for it."""
    if folder is None:
        return config
    if config.run.dir is not None:
        raise InputError(
            f"run.dir must not be set with -m, got {config.run.dir!r}; set hydra.sweep.dir, the folder of them all"
        )
    return replace(config, run=replace(config.run, dir=folder))


def _perform(config: Config) -> None:
    folder, outcome = run(config)
    if not config.run.quiet:
        where = os.path.relpath(folder.result) if folder.result.is_relative_to(Path.cwd()) else folder.result
        loss = short(outcome.rows[-1]["loss"])
        print(f"{where}: loss {loss} after {len(outcome.rows)} steps, {outcome.seconds['total']:.0f} s")
    if outcome.stopped:
        sys.exit(130)


def main() -> None:
    """The command line: exit code 0, 2 for bad input with one line that says why, 130 when interrupted."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come here instead of being printed by Hydra
    # Hydra finds -m only before the first KEY=VALUE.
    sys.argv[1:] = sorted(quote_paths(sys.argv[1:]), key=lambda argument: argument not in ("-m", "--multirun"))
    try:
        configs = compose_jobs()
        for config in configs:
            specify(config)  # all members of a sweep before the first one runs
        use_compilation_cache()
        for config in configs:
            _perform(config)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
