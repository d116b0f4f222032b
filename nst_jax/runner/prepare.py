"""Preparing a run: the config is checked, the pictures and the network's parameters are read."""

import functools
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nst_jax import job
from nst_jax.config.compose import import_modules, settings_of
from nst_jax.config.schema import Config, PictureConfig
from nst_jax.config.to_spec import to_spec
from nst_jax.errors import InputError
from nst_jax.images.color import match_covariance, recolor, transport, with_colors
from nst_jax.images.files import Picture, fit_long_side, read_image, resize
from nst_jax.images.masks import Mask, as_mask
from nst_jax.images.named import find_image
from nst_jax.networks import Network, choose_convolution, load
from nst_jax.networks.adain import LAYER, paint
from nst_jax.networks.layers import prepare as transformed
from nst_jax.networks.params import store as weights
from nst_jax.runs.folder import RunFolder
from nst_jax.runs.manifest import begin_manifest
from nst_jax.types import Params, Pixels

_log = logging.getLogger(__name__)

# `init` of a member of a sweep that goes on from the picture of the one before.
PREVIOUS = "previous"


@dataclass(frozen=True)
class Made:
    """The output of a run.

    Attributes:
        result: the picture and its metrics.
        facts: further entries of the manifest.
        pictures: further pictures, by file name.
    """

    result: job.Result
    facts: dict[str, Any] = field(default_factory=dict)
    pictures: dict[str, Pixels] = field(default_factory=dict)


class Kind(NamedTuple):
    """A kind of runs; what is common to all kinds is in `nst_jax.runner.run`.

    Attributes:
        name: in config.yaml and the manifest.
        schema: of the config.
        prepare: checks the config and reads the inputs.
        begin: writes pictures that are known before the first step.
        execute: makes the steps, given a callback, the steps at which a chunk ends, where to resume, and the folder of the run,
            None in processes that keep no record.
        hosts: of a config, whether it runs on several processes: see `nst_jax.distributed.initialize`.
        result: of a config, the name of what the run is for, in its folder.
        finish: writes what else is made of the record once the run has ended, with a text inside; returns notices.
    """

    name: str
    schema: type[Any]
    prepare: Callable[[Any], "Prepared"]
    begin: Callable[["Prepared", RunFolder], None]
    execute: Callable[["Prepared", job.Callback, Sequence[int], job.JobState | None, Path | None], Made]
    hosts: Callable[[Any], Any]
    result: Callable[[Any], str] = lambda config: f"result.{config.run.format}"
    finish: Callable[["Prepared", RunFolder, str], list[str]] = lambda prepared, folder, text: []


@dataclass(frozen=True)
class Prepared:
    """A job whose config is checked and whose inputs are read.

    Attributes:
        kind: of the run.
        config: as it was given.
        spec: of the job, or of each of `jobs`.
        pictures: by role: "content", "style" (and "style2", "style3", ... of several), "init" if the job starts from a file,
            "mask", "mask2", ... of regions, "style_mask", "style_mask2", ... of styles; "mask2" is missing if it is the rest.
        inputs: their pixels.
        params: of the network.
        begun: the manifest as the run begins.
        seconds: spent on preparing.
        jobs: how many jobs are stepped together.
        further: the sizes and steps of the jobs that follow, of a film.
    """

    kind: Kind
    config: Any
    spec: job.JobSpec
    pictures: dict[str, Picture]
    inputs: job.Inputs
    params: Params
    begun: dict[str, Any]
    seconds: float
    jobs: int = 1
    further: tuple[job.Scale, ...] = ()

    @property
    def work(self) -> tuple[job.Scale, ...]:
        """The sizes and steps of all jobs, in order."""
        return self.spec.scales * self.jobs + self.further

    @property
    def steps(self) -> int:
        """The steps of all scales and jobs."""
        return sum(scale.steps for scale in self.work)

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Height and width of the picture at each scale."""
        height, width = self.inputs.content.shape[1:3]
        return [fit_long_side(height, width, scale.size) for scale in self.spec.scales]

    def state_shapes(self, stage: int) -> Any:
        """The state that a checkpoint holds in a stage: its structure, with shapes and dtypes for arrays."""
        shapes = job.state_shapes(job.make_stages(self.inputs, self.spec)[stage], self.spec)
        return shapes if self.jobs == 1 else (shapes,) * self.jobs


def prepare(config: Config) -> Prepared:
    """Checks the config of a transfer, and reads the pictures and the network's parameters.

    Raises:
        InputError: anything the user can fix.
    """
    began = time.perf_counter()
    spec = specify(config)
    set_verbosity(config)
    pictures = _pictures(config, spec)
    inputs = inputs_of(config, pictures)
    job.check_pictures(inputs, spec)
    network = network_for(config, spec)
    begun = begin_record(config, pictures, config.network.name, weights.file_sha256(config.network.name))
    for notice in (small := size_notices(inputs, spec)):
        _log.info("%s", notice)
    begun["notices"] += small
    return Prepared(TRANSFER, config, spec, pictures, inputs, network.params, begun, time.perf_counter() - began)


def size_notices(inputs: job.Inputs, spec: job.JobSpec) -> list[str]:
    """What must be said of pictures that are smaller than was asked for."""
    size, (height, width) = spec.scales[-1].size, inputs.content.shape[1:3]
    notices = []
    if max(height, width) < size:
        notices.append(f"content: {width}x{height} is enlarged, which adds no detail; size={max(height, width)} is its own")
    for number, (style, scale) in enumerate(zip(inputs.styles, spec.style_scales, strict=True), 1):
        height, width = style.shape[1:3]
        if scale > 1 and max(height, width) < scale * size:
            notices.append(f"{_role('style', number)}: {width}x{height} is not enlarged, whatever style.scale={scale:g} says")
    return notices


def begin_record(config: Any, pictures: dict[str, Picture], network: str, sha256: str | None) -> dict[str, Any]:
    """The manifest of a run of any kind, as it begins."""
    return begin_manifest(
        command=sys.orig_argv,
        kind=config.kind,
        settings=settings_of(config),
        seed=config.seed,
        inputs={role: {"source": picture.source, "sha256": picture.sha256} for role, picture in pictures.items()},
        params={"name": network, "sha256": sha256},
        notices=[f"{role}: {notice}" for role, picture in pictures.items() for notice in picture.notices],
    )


def _execute(
    prepared: Prepared, observe: job.Callback, chunk_at: Sequence[int], resume: job.JobState | None, folder: Path | None
) -> Made:
    inputs = prepared.params, prepared.inputs, prepared.spec
    return Made(job.transfer(*inputs, observe=observe, chunk_at=chunk_at, resume=resume))


def _begin(prepared: Prepared, folder: RunFolder) -> None:
    if prepared.config.preview:
        file = folder.write_preview(_preview(prepared.config, prepared.spec, prepared.pictures))
        _log.info("preview: %s", file)


TRANSFER = Kind(Config.kind, Config, prepare, _begin, _execute, lambda config: config.scale.hosts)


def network_for(config: Any, spec: job.JobSpec) -> Network:
    """The network of a run, which is kept for the next one."""
    return _network(config.network.name, spec.objective.network.convolution, spec.objective.taps)


@functools.lru_cache(maxsize=1)  # the members of a sweep, one after the other, mostly have the same
def _network(name: str, convolution: str, taps: tuple[str, ...]) -> Network:
    return load(name, convolution=convolution, taps=taps)


def specify(config: Config) -> job.JobSpec:
    """The checked description of the job that a config asks for, after importing what registers its distances or networks."""
    import_modules(config.imports)
    return to_spec(config, architecture=weights.architecture(config.network.name))


def picture_sources(config: Config, spec: job.JobSpec) -> dict[str, PictureConfig]:
    """The pictures that the config names, by role; see `Prepared.pictures`."""
    sources: dict[str, PictureConfig] = {"content": config.content, **_numbered("style", config.style.pictures)}
    sources |= _numbered("mask", map(_mask_source, config.mask.regions or []))
    sources |= _numbered("style_mask", map(_mask_source, config.mask.styles or []))
    if spec.init == "file" and config.init != PREVIOUS:
        sources["init"] = PictureConfig("init", config.init)
    return sources


def _pictures(config: Config, spec: job.JobSpec) -> dict[str, Picture]:
    if config.init == PREVIOUS:
        raise InputError(
            f"init={PREVIOUS} must be in a sweep that runs its members one by one; use -m, or the path of a picture"
        )
    if spec.init == "file" and config.init.isidentifier() and not os.path.lexists(config.init):
        raise InputError(f"init must be one of {', '.join(job.INITS)}, or a picture; got {config.init!r}")
    pictures = read_pictures(picture_sources(config, spec))
    if spec.init == "adain":
        pictures["init"] = Picture(_preview(config, spec, pictures), weights.file_sha256("adain-decoder"), "adain", ())
    return pictures


def inputs_of(config: Config, pictures: dict[str, Picture]) -> job.Inputs:
    """The pixels of pictures by role."""

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


def _preview(config: Config, spec: job.JobSpec, pictures: dict[str, Picture]) -> Pixels:
    return preview(pictures["content"].pixels, pictures["style"].pixels, size=spec.scales[-1].size, color=spec.color)


def read_pictures(sources: dict[str, PictureConfig]) -> dict[str, Picture]:
    """Reads pictures by role and logs their notices; alpha is composited on white, or on black for masks."""
    pictures = {role: read_picture(source, 0.0 if "mask" in role else 1.0) for role, source in sources.items()}
    for role, picture in pictures.items():
        for notice in picture.notices if sources[role].path is not None else ():  # those of named pictures are logged once
            _log.info("%s: %s", role, notice)
    return pictures


def read_picture(config: PictureConfig, background: float = 1.0) -> Picture:
    """Reads the picture that a config names, alpha composited on a gray."""
    if config.path is None:
        return _named(config.name)
    path = os.path.expanduser(config.path)
    facts = os.stat(path) if os.path.exists(path) else None
    return _file(path, background, facts and (facts.st_ino, facts.st_size, facts.st_mtime_ns))


@functools.lru_cache(maxsize=2)  # the members of a sweep mostly have the same
def _file(path: str, background: float, stamp: tuple[int, ...] | None) -> Picture:
    """Reads the picture of a file; `stamp` changes with the file."""
    return read_image(path, background=background)


@functools.cache
def _named(name: str) -> Picture:
    """Finds a picture by name, once per process, since it may come from the network."""
    return find_image(name)


def silenced(config: Any) -> Any:
    """The config of a run that prints nothing."""
    return replace(config, run=replace(config.run, quiet=True))


def set_verbosity(config: Any) -> None:
    """Makes the package log errors only, if the run is quiet."""
    logging.getLogger("nst_jax").setLevel(logging.ERROR if config.run.quiet else logging.INFO)


# The decoder was trained on parts of pictures of 256 pixels; on much larger pictures its strokes are fine threads.
PREVIEW_SIZE = 512


def preview(content: Pixels, style: Pixels, *, size: int, color: str = "style") -> Pixels:
    """Paints the content in one pass of AdaIN, its longer side `size` or `PREVIEW_SIZE` pixels, whichever is less.

    Args:
        content: sRGB in [0, 1], any size.
        style: likewise; it is never enlarged.
        size: longer side in pixels.
        color: whose colors it has, one of `nst_jax.images.color.COLORS`.
    """

    def fitted(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[1:3]
        return resize(pixels, fit_long_side(height, width, min(size, PREVIEW_SIZE, max(height, width))))

    method = choose_convolution("auto")
    network = load("vgg19-normalized", convolution=method, taps=(LAYER,))
    decoder = jax.device_put(weights.load_params("adain-decoder"))
    if method == "winograd":
        decoder = {name: transformed(leaves) for name, leaves in decoder.items()}
    seen = [jnp.asarray(fitted(picture)) for picture in recolor(content, style, color)]
    painted = np.asarray(paint(network.params, decoder, *seen, convolution=method))
    if color == "luminance":
        return with_colors(painted, fitted(content))
    if color == "locked":
        return with_colors(painted, match_covariance(fitted(content), style, transport))
    return painted
