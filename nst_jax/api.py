"""`nst_jax.transfer`: a job from Python, with the settings and defaults of the command line and no files but those named."""

import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, Unpack

import numpy as np
from jaxtyping import Float

from nst_jax import job
from nst_jax.config.compose import make_config, to_yaml
from nst_jax.config.to_spec import to_spec
from nst_jax.errors import InputError
from nst_jax.images.arrays import as_picture, as_region
from nst_jax.images.files import PillowImage, to_pillow, write_image
from nst_jax.images.named import NAMED
from nst_jax.networks import load
from nst_jax.networks.params import store
from nst_jax.runner.preview import preview
from nst_jax.runs.callback import interruptible
from nst_jax.runs.manifest import CONFIG_TEXT
from nst_jax.runs.progress import Progress
from nst_jax.runs.progress import progress as show_progress
from nst_jax.system.compilation_cache import use_compilation_cache

# A path, the name of a picture that comes with the package ("starry"), a PIL image, or an array that NumPy can read: [h, w, 3],
# uint8, uint16, or floats in [0, 1].
PictureLike = Any
# Settings of the command line that are arguments here, or belong to the run folder, which is not written here.
_UNUSED = ("content", "style.name", "style.path", "mask.regions", "mask.styles", "run", "preview", "scale.hosts")


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
    scales: str | int | Sequence[int]
    steps: int | Sequence[int]
    seed: int
    color: str


@dataclass(frozen=True, repr=False)
class StyledImage:
    """The result of `transfer`; a notebook shows it as a picture.

    Attributes:
        pixels: float32 [h, w, 3], sRGB in [0, 1].
        metrics: for each step a mapping: step, scale, size, loss and its terms, seconds.
        seconds: spent "compile", "steps", "total".
        config: the settings as YAML.
        messages: notices about the input pictures, and about steps that were undone.
        stopped: the callback or an interrupt ended the job early.
    """

    pixels: Float[np.ndarray, "h w 3"]
    metrics: list[dict[str, Any]]
    seconds: dict[str, float]
    config: str
    messages: list[str]
    stopped: bool

    @property
    def image(self) -> PillowImage:
        """As a PIL image with 8 bits per channel."""
        return to_pillow(self.pixels)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes PNG, JPEG, WebP or 16-bit TIFF by the extension of `path`, with the settings inside."""
        write_image(Path(path).expanduser(), self.pixels[None], text={CONFIG_TEXT: self.config})

    def _repr_png_(self) -> bytes:
        encoded = io.BytesIO()
        self.image.save(encoded, "PNG")
        return encoded.getvalue()

    def __repr__(self) -> str:
        height, width, _ = self.pixels.shape
        last, seconds = self.metrics[-1], self.seconds["total"]
        return f"StyledImage({width}x{height}, loss {last['loss']:.4g} after {last['step']} steps, {seconds:.0f} s)"


def transfer(
    content: PictureLike,
    style: "PictureLike | Sequence[PictureLike]",
    /,
    *,
    init: PictureLike = None,
    masks: Sequence[PictureLike] = (),
    style_masks: Sequence[PictureLike] = (),
    callback: Callable[[job.StepInfo], bool | None] | None = None,
    progress: bool | None = None,
    **options: Unpack[Options],
) -> StyledImage:
    """Repaints the content picture in the style of another, or of several.

    The first Ctrl-C ends the job with the picture so far, the second one raises KeyboardInterrupt.

    Args:
        content: a path, the name of a sample picture ("tubingen"), a PIL image, or an array [h, w, 3]: sRGB, uint8, uint16,
            or floats in [0, 1].
        style: likewise, or a list of such; sizes may differ.
        init: where to start: "recolored", "content", "style", "noise", "adain", or a picture; None is the config's default.
        masks: one for each region of the content, white or 1 inside; None or "rest" is what the others leave. Region i has
            style i, the only style, or what `style={"blend": ...}` says.
        style_masks: for each style the part of it that counts, or None for all of it.
        callback: called with a `StepInfo` about once a second; returning True ends the job with the picture so far.
        progress: show progress on standard error; None does so on a terminal and in a notebook.
        options: settings as on the command line: `size=256, experiment="fast", loss={"style_weight": 3}`. `optimizer` may be
            an optax transformation.

    Raises:
        InputError: a picture that cannot be read, an unknown setting, or a value out of range.

    Example:
        >>> import numpy as np
        >>> ramp = np.linspace(0, 1, 16 * 16 * 3, dtype=np.float32).reshape(16, 16, 3)
        >>> loss = {"content_layers": ["relu1_1"], "style_layers": ["relu1_1"]}
        >>> result = transfer(ramp, ramp, size=16, steps=2, loss=loss)
        >>> result.pixels.shape, len(result.metrics)
        ((16, 16, 3), 2)
    """
    _refuse_unused(options)
    settings: dict[str, Any] = dict(options)
    if init is not None:
        settings["init"] = init if isinstance(init, str) else "file"
    config = make_config(settings)
    given = _read(content, style, config.init if init is None else init, masks, style_masks)
    use_compilation_cache()
    spec = to_spec(
        config,
        architecture=store.architecture(config.network.name),
        num_styles=len(given.inputs.styles),
        num_regions=len(masks),
    )
    inputs = given.inputs
    if spec.init == "adain":
        start = preview(inputs.content, inputs.styles[0], size=spec.scales[-1].size, color=spec.color)
        inputs = inputs._replace(init=start)
    network = load(config.network.name, convolution=spec.objective.network.convolution, taps=spec.objective.taps)
    shown = progress if progress is not None else sys.stderr.isatty() or _in_notebook()
    with show_progress(sum(scale.steps for scale in spec.scales), quiet=not shown) as bar:
        observer = _Observer(bar, callback)
        with interruptible(observer):
            found = job.transfer(network.params, inputs, spec, observe=observer)
    messages = [*given.notices, *found.recoveries]
    return StyledImage(found.pixels[0], found.rows, found.seconds, to_yaml(config, record=False), messages, found.stopped)


@dataclass
class _Observer:
    """Shows progress and asks the user's callback; `stop` is set by an interrupt."""

    bar: Progress
    callback: Callable[[job.StepInfo], bool | None] | None
    stop: bool = False

    def __call__(self, info: job.StepInfo) -> bool:
        for message in info.messages:
            self.bar.say(message)
        if info.rows:
            self.bar.update(info.step, info.rows[-1])
        asked = self.callback is not None and self.callback(info)
        return bool(asked) or self.stop


class _Given(NamedTuple):
    inputs: job.Inputs
    notices: list[str]


def _read(content: Any, style: Any, init: Any, masks: Sequence[Any], style_masks: Sequence[Any]) -> _Given:
    """Reads every picture and mask."""
    given = {"content": content} | {f"style {number}": one for number, one in enumerate(_listed(style), 1)}
    if not isinstance(init, str) or init not in job.INITS:
        if isinstance(init, str) and init not in NAMED and not Path(init).expanduser().is_file():
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
    return _Given(inputs, [f"{role}: {notice}" for role, picture in pictures.items() for notice in picture.notices])


def _listed(style: Any) -> list[Any]:
    several = list(style) if isinstance(style, list | tuple) else [style]
    if not several:
        raise InputError("style must be a picture or a list of pictures, got an empty list")
    return several


def _refuse_unused(options: Mapping[str, Any], prefix: str = "") -> None:
    """Raises InputError for a setting that would have no effect here."""
    for key, value in options.items():
        if prefix + key in _UNUSED:
            raise InputError(
                f"{prefix}{key} must not be set in Python, got {value!r}; give pictures and masks as arguments,"
                " and run from the command line for a run folder or several hosts"
            )
        if isinstance(value, Mapping):
            _refuse_unused(value, f"{prefix}{key}.")


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    return bool(shell) and "IPKernelApp" in shell.config
