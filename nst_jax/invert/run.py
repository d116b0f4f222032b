"""One recorded inversion: a config in, a run folder out, with the parts that a transfer's record has."""

import sys
import time
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nst_jax import job
from nst_jax.config.compose import settings_of, to_yaml
from nst_jax.errors import InputError
from nst_jax.images.files import Picture, fit_long_side, resize, write_image
from nst_jax.invert.config import InvertConfig, check_counts, layer_of, to_job
from nst_jax.invert.draw import field_of, outline, row
from nst_jax.invert.error import normalized_error, scale_of
from nst_jax.invert.neurons import Code, Neurons, choose
from nst_jax.invert.objective import InversionSpec
from nst_jax.invert.representation import DESCRIPTORS, code, smallest
from nst_jax.invert.restarts import invert
from nst_jax.networks import load
from nst_jax.networks.convnet import NetworkSpec
from nst_jax.networks.params import store as weights
from nst_jax.report.plots import plot_losses
from nst_jax.report.run_page import write_report
from nst_jax.runner.prepare import read_picture
from nst_jax.runs.callback import Recorder, interruptible
from nst_jax.runs.folder import RunFolder, create_run_folder
from nst_jax.runs.manifest import begin_manifest, end_manifest, provenance
from nst_jax.runs.progress import progress
from nst_jax.types import Params

Pixels = Float[np.ndarray, "1 _h _w 3"]
# Luma of Rec. 601: what a gray picture is of a color one.
LUMA = np.array((0.299, 0.587, 0.114), np.float32)


@dataclass(frozen=True)
class Inverted:
    """What an inversion gives back.

    Attributes:
        spec: the job.
        outcomes: of each restart.
        errors: the paper's error of each; None where no reference is stored.
    """

    spec: job.JobSpec
    outcomes: list[job.Result]
    errors: list[float | None]

    @property
    def best(self) -> int:
        """The number of the restart that ended with the smallest loss."""
        return min(range(len(self.outcomes)), key=lambda i: self.outcomes[i].rows[-1]["loss"])


def run(config: InvertConfig) -> tuple[RunFolder, Inverted]:
    """Runs one inversion and leaves its record in `config.run.dir`.

    Raises:
        InputError: anything a user can mend; nothing is compiled before the config is known to be sound.
    """
    began = time.perf_counter()
    check_counts(config)
    params, network, layer, sha256 = _representation(config)
    picture = read_picture(config.content, lambda notice: _say(config, f"content: {notice}"))
    content = prepare(picture, config.size, layer, network)
    spec = to_job(config, layer, network, _neurons(config, params, content, layer, network), content.size)
    folder = create_run_folder(config.run.dir or time.strftime("runs/%Y-%m-%d_%H-%M-%S"), to_yaml(config))
    folder.write_inputs({"content": content}, config.size)
    with progress(spec.scales[0].steps * config.restarts, quiet=config.run.quiet) as bar:
        every = config.run.snapshot_every
        looks = range(every, spec.scales[0].steps + 1, every) if every else ()
        recorder = Recorder(folder, bar, config.run.log_every, looks)
        with interruptible(recorder):
            outcomes = invert(params, content, spec, config.restarts, recorder, looks)
    found = Inverted(spec, outcomes, _errors(params, content, spec.objective, outcomes, sha256))
    _keep(config, folder, found, picture, content, sha256, time.perf_counter() - began)
    return folder, found


def prepare(picture: Picture, size: int, layer: str, network: NetworkSpec) -> Pixels:
    """The content at its size; gray for a descriptor.

    Raises:
        InputError: it is too small for the layer.
    """
    pixels = picture.pixels
    content = resize(pixels, fit_long_side(pixels.shape[1], pixels.shape[2], size))
    least, (height, width) = smallest(layer, network.architecture), content.shape[1:3]
    if min(height, width) < least:
        raise InputError(
            f"content must be at least {least} pixels on each side for {layer}, got {width}x{height}; use a larger size"
        )
    if layer in DESCRIPTORS:
        content = np.repeat(content @ LUMA[:, None], 3, axis=-1)
    return content


def _representation(config: InvertConfig) -> tuple[Params, NetworkSpec, str, str | None]:
    """Parameters, network, layer and the sha256 of the parameters; a descriptor has no parameters."""
    if config.representation in DESCRIPTORS:
        return {}, NetworkSpec(), layer_of(config, ""), None
    layer = layer_of(config, weights.architecture(config.representation))
    network = load(config.representation, taps=(layer,))
    return network.params, network.spec, layer, weights.file_sha256(config.representation)


def _neurons(config: InvertConfig, params: Params, content: Pixels, layer: str, network: NetworkSpec) -> Neurons:
    shape = jax.eval_shape(lambda p, x: code(p, x, layer, network=network), params, jnp.asarray(content)).shape
    channels = config.neurons.channels
    return choose(shape, config.neurons.center, config.neurons.patch, channels)


def _say(config: InvertConfig, line: str) -> None:
    if not config.run.quiet:
        print(line, file=sys.stderr, flush=True)


def _errors(
    params: Params, content: Pixels, objective: Any, outcomes: list[job.Result], sha256: str | None
) -> list[float | None]:
    target: Code = jax.jit(objective.targets)(params, jnp.asarray(content))
    scale = scale_of(sha256, objective.layer)
    return [normalized_error(outcome.rows[-1]["content"], target, scale) for outcome in outcomes]


def _keep(
    config: InvertConfig,
    folder: RunFolder,
    found: Inverted,
    picture: Picture,
    content: Pixels,
    sha256: str | None,
    total: float,
) -> None:
    """Writes the best picture, the others beside it, the loss curves and the manifest."""
    best, objective = found.outcomes[found.best], found.spec.objective
    assert isinstance(objective, InversionSpec)
    begun = begin_manifest(
        command=sys.orig_argv,
        settings=settings_of(config),
        seed=config.seed,
        inputs={"content": {"source": picture.source, "sha256": picture.sha256}},
        params={"name": config.representation, "sha256": sha256},
        notices=[f"content: {notice}" for notice in picture.notices],
    )
    restarts = [{"loss": o.rows[-1]["loss"], "normalized_error": e} for o, e in zip(found.outcomes, found.errors, strict=True)]
    manifest = end_manifest(
        begun | {"normalized_error": found.errors[found.best], "restarts": restarts},
        status="interrupted" if any(outcome.stopped for outcome in found.outcomes) else "finished",
        steps=sum(len(outcome.rows) for outcome in found.outcomes),
        seconds={key: sum(outcome.seconds[key] for outcome in found.outcomes) for key in best.seconds} | {"total": total},
        recoveries=len(best.recoveries),
        pixels=content.shape[1] * content.shape[2],
    )
    folder.write_result(best.pixels, provenance(to_yaml(config, record=False), manifest))
    if len(found.outcomes) > 1:
        write_image(folder.path / "restarts.png", row([outcome.pixels for outcome in found.outcomes]))
    if objective.neurons.patch is not None:
        field = field_of(objective.layer, objective.network.architecture)
        write_image(folder.path / "receptive_field.png", outline(content, field, objective.neurons))
    plot_losses(folder.losses, best.rows)
    folder.write_manifest(manifest)
    write_report(folder)
