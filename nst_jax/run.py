"""`python -m nst_jax.run style=starry content=tubingen`: compose the config, run the job, keep the record."""

import os
import sys
import time
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from nst_jax import job
from nst_jax.cache import use_compilation_cache
from nst_jax.config import Config, PictureConfig, as_config, first_line, to_spec, to_yaml
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
    spec = to_spec(config, architecture=weights.architecture(config.network.name))
    pictures = {"content": _picture(config.content), "style": _picture(config.style)}
    if spec.init == "file":
        pictures["init"] = read_image(config.init)
    network = load(config.network.name, convolution=config.network.convolution)
    folder = create_run_folder(config.run.dir or time.strftime("runs/%Y-%m-%d_%H-%M-%S"), to_yaml(config))
    total_steps = sum(scale.steps for scale in spec.scales)
    with progress(total_steps, quiet=config.run.quiet) as bar:
        notices = [f"{role}: {notice}" for role, picture in pictures.items() for notice in picture.notices]
        for notice in notices:
            bar.say(notice)
        recorder = Recorder(folder, bar, config.run.log_every, config.run.snapshot_every, total_steps)
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
        notices=notices,
        recoveries=len(outcome.recoveries),
    )
    folder.write_result(outcome.pixels, provenance(to_yaml(config, record=False), manifest))
    plot_losses(folder.losses, outcome.rows)
    folder.write_manifest(manifest)
    return folder, outcome


def _picture(config: PictureConfig) -> Picture:
    if config.path is not None:
        return read_image(config.path)
    return find_image(config.name, notify=lambda notice: None)  # its notices are in the picture, and said with the others


@hydra.main(version_base="1.3", config_path=str(data_folder("configs")), config_name="config")
def _hydra_main(composed: DictConfig) -> None:
    config = as_config(composed)
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        config.run.dir = HydraConfig.get().runtime.output_dir
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
    use_compilation_cache()
    try:
        _hydra_main()
    except (InputError, HydraException, OmegaConfBaseException) as error:
        print(f"error: {first_line(error)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
