"""A job prepared from the arguments of `nst_jax.transfer`: the counterpart of `nst_jax.runner.prepare` without a run folder."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypedDict

import optax

from nst_jax import job
from nst_jax.config.compose import make_config
from nst_jax.config.schema import Config
from nst_jax.config.to_spec import to_spec
from nst_jax.errors import InputError
from nst_jax.images.arrays import as_picture, as_region
from nst_jax.images.named import NAMED
from nst_jax.networks import load
from nst_jax.networks.params import store
from nst_jax.optimize.solver import SolverSpec
from nst_jax.runner.prepare import preview, size_notices
from nst_jax.types import Params

# A path, the name of a picture that comes with the package ("starry"), a PIL image, or an array that NumPy can read: [h, w, 3],
# uint8, uint16, or floats in [0, 1].
PictureLike = Any
# Settings of the command line that are arguments here, or belong to the run folder, which is not written here.
_UNUSED = ("content", "style.name", "style.path", "mask.regions", "mask.styles", "run", "preview", "imports", "scale.hosts")


class Options(TypedDict, total=False):
    """The settings of `transfer`: those of the command line (docs/settings.md), nested as in its config.

    A group is a preset's name, as in `loss="gatys"`, or a mapping of changes to the default, as in `loss={"style_weight": 3}`.
    """

    experiment: str
    network: str | Mapping[str, Any]
    loss: str | Mapping[str, Any]
    optimizer: Any
    style: Mapping[str, Any]
    mask: Mapping[str, Any]
    scale: Mapping[str, Any]
    size: int
    strength: float
    scales: str | int | Sequence[int]
    steps: int | Sequence[int]
    seed: int
    color: str


class PythonJob(NamedTuple):
    """A job from Python arguments, and notices about its pictures."""

    config: Config
    spec: job.JobSpec
    inputs: job.Inputs
    params: Params
    notices: list[str]


def prepare_arguments(
    content: Any, style: Any, init: Any, masks: Sequence[Any], style_masks: Sequence[Any], options: Mapping[str, Any]
) -> PythonJob:
    """Checks the settings, reads the pictures and the network's parameters."""
    _refuse_unused(options)
    settings, solver = dict(options), None
    if isinstance(options.get("optimizer"), optax.GradientTransformation):
        solver = settings.pop("optimizer")
    config = make_config({**settings, **({} if init is None else {"init": init if isinstance(init, str) else "file"})})
    inputs, notices = _read(content, style, config.init if init is None else init, masks, style_masks)
    spec = to_spec(
        config,
        architecture=store.architecture(config.network.name),
        num_styles=len(inputs.styles),
        num_regions=len(masks),
    )
    notices += size_notices(inputs, spec)
    if solver is not None:
        spec = dataclasses.replace(spec, solver=SolverSpec(solver))
        notices.append("optimizer: a transformation given from Python, which the config does not hold")
    if spec.init == "adain":
        start = preview(inputs.content, inputs.styles[0], size=spec.scales[-1].size, color=spec.color)
        inputs = inputs._replace(init=start)
    network = load(config.network.name, convolution=spec.objective.network.convolution, taps=spec.objective.taps)
    return PythonJob(config, spec, inputs, network.params, notices)


def _read(
    content: Any, style: Any, init: Any, masks: Sequence[Any], style_masks: Sequence[Any]
) -> tuple[job.Inputs, list[str]]:
    """Reads every picture and mask."""
    given = {"content": content} | {f"style {number}": one for number, one in enumerate(_listed(style), 1)}
    if not isinstance(init, str) or init not in job.INITS:
        if isinstance(init, str) and init not in NAMED and not os.path.isfile(os.path.expanduser(init)):
            raise InputError(f"init must be one of {', '.join(job.INITS)}, or a picture; got {init!r}")
        given["init"] = init
    pictures = {role: as_picture(role, one) for role, one in given.items()}
    styles = tuple(picture.pixels for role, picture in pictures.items() if role.startswith("style"))
    if style_masks and len(style_masks) != len(styles):
        raise InputError(f"style_masks must be one for each of the {len(styles)} styles, got {len(style_masks)}; None for none")
    inputs = job.Inputs(
        pictures["content"].pixels,
        styles,
        pictures["init"].pixels if "init" in pictures else None,
        tuple(as_region(f"mask {number}", mask) for number, mask in enumerate(masks, 1)),
        tuple(as_region(f"style mask {number}", mask) for number, mask in enumerate(style_masks, 1)),
    )
    return inputs, [f"{role}: {notice}" for role, picture in pictures.items() for notice in picture.notices]


def _listed(style: Any) -> list[Any]:
    several = list(style) if isinstance(style, list | tuple) else [style]
    if not several:
        raise InputError("style must be a picture or a list of pictures, got an empty list")
    return several


def _refuse_unused(options: Mapping[str, Any], prefix: str = "") -> None:
    """Raises InputError for a setting that would have no effect here."""
    for key, value in options.items():
        if any(f"{prefix}{key}.".startswith(f"{unused}.") for unused in _UNUSED):
            raise InputError(
                f"{prefix}{key} must not be set in Python, got {value!r}; give pictures and masks as arguments,"
                " and run from the command line for a run folder or several hosts"
            )
        if isinstance(value, Mapping):
            _refuse_unused(value, f"{prefix}{key}.")
