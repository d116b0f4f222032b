"""A config checked, its pictures and the network read: what comes before the job."""

import functools
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from nst_jax import job
from nst_jax.config.compose import settings_of
from nst_jax.config.schema import Config, PictureConfig
from nst_jax.config.to_spec import to_spec
from nst_jax.errors import InputError
from nst_jax.images.files import Picture, read_image
from nst_jax.images.masks import Mask, as_mask
from nst_jax.images.named import find_image
from nst_jax.networks import Network, load
from nst_jax.networks.params import store as weights
from nst_jax.runner.preview import preview
from nst_jax.runs.manifest import begin_manifest

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


def prepare(config: Config) -> Prepared:
    """Checks the config, reads the pictures and the network's parameters.

    Raises:
        InputError: anything a user can mend.
    """
    began = time.perf_counter()
    spec = specify(config)
    pictures = _pictures(config, spec, reporter(config))
    job.check_pictures(_inputs(config, pictures), spec)
    network = _network(config.network.name, spec.objective.network.convolution, spec.objective.taps)
    begun = begin_manifest(
        command=sys.orig_argv,
        settings=settings_of(config),
        seed=spec.seed,
        inputs={role: {"source": picture.source, "sha256": picture.sha256} for role, picture in pictures.items()},
        params={"name": config.network.name, "sha256": weights.file_sha256(config.network.name)},
        notices=[f"{role}: {notice}" for role, picture in pictures.items() for notice in picture.notices],
    )
    return Prepared(config, spec, pictures, network, begun, time.perf_counter() - began)


@functools.lru_cache(maxsize=1)  # the members of a sweep, one after the other, mostly have the same
def _network(name: str, convolution: str, taps: tuple[str, ...]) -> Network:
    return load(name, convolution=convolution, taps=taps)


def specify(config: Config) -> job.JobSpec:
    """The checked description of the job that a config asks for."""
    return to_spec(config, architecture=weights.architecture(config.network.name))


def picture_sources(config: Config, spec: job.JobSpec) -> dict[str, PictureConfig]:
    """The pictures that the config names, by role; see `Prepared.pictures`."""
    sources: dict[str, PictureConfig] = {"content": config.content, **_numbered("style", config.style.pictures)}
    sources |= _numbered("mask", map(_mask_source, config.mask.regions or []))
    sources |= _numbered("style_mask", map(_mask_source, config.mask.styles or []))
    if spec.init == "file" and config.init != PREVIOUS:
        sources["init"] = PictureConfig("init", config.init)
    return sources


def _pictures(config: Config, spec: job.JobSpec, tell: Callable[[str], None]) -> dict[str, Picture]:
    if config.init == PREVIOUS:
        raise InputError(
            f"init={PREVIOUS} must be in a sweep that runs its members one by one; use -m, or the path of a picture"
        )
    pictures = {
        role: read_picture(source, partial(_tell, tell, role), background=0.0 if "mask" in role else 1.0)
        for role, source in picture_sources(config, spec).items()
    }
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


def read_picture(config: PictureConfig, tell: Callable[[str], None], background: float = 1.0) -> Picture:
    """Reads the picture that a config names, alpha composited on a gray; `tell` hears its notices."""
    if config.path is None:
        return _named(config.name, tell)
    picture = read_image(Path(config.path).expanduser(), background=background)
    for notice in picture.notices:
        tell(notice)
    return picture


_KNOWN: dict[str, Picture] = {}


def _named(name: str, tell: Callable[[str], None]) -> Picture:
    """A picture by name; the same process asks for it only once, since it may come from the network."""
    if name not in _KNOWN:
        _KNOWN[name] = find_image(name, notify=tell)
    return _KNOWN[name]


def silenced(config: Config) -> Config:
    """The config of a run that says nothing."""
    return replace(config, run=replace(config.run, quiet=True))


def reporter(config: Config) -> Callable[[str], None]:
    """How the user is told something: a line on standard error, or nothing at all."""
    return (lambda line: None) if config.run.quiet else (lambda line: print(line, file=sys.stderr, flush=True))
