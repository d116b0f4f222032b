"""`nst_jax.transfer` and `nst_jax.make_loss`: jobs and losses from Python, with the defaults of the command line."""

import dataclasses
import functools
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Unpack

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nst_jax import job
from nst_jax.config.compose import to_yaml
from nst_jax.images.files import PillowImage, to_pillow, write_image
from nst_jax.job.memory_plan import choose_plan
from nst_jax.job.pyramid import initial_image
from nst_jax.objective.loss import LossWeights, ObjectiveSpec, Targets, Terms, loss
from nst_jax.partition import WHOLE, ExecutionPlan
from nst_jax.runner.from_python import Options, PictureLike, prepare_arguments
from nst_jax.runs.callback import interruptible
from nst_jax.runs.manifest import CONFIG_TEXT
from nst_jax.runs.progress import Progress, is_interactive
from nst_jax.runs.progress import progress as show_progress
from nst_jax.system.compilation_cache import use_compilation_cache
from nst_jax.types import Image, Params, Scalar


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
        write_image(Path(os.path.expanduser(path)), self.pixels[None], text={CONFIG_TEXT: self.config})

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
    prepared = prepare_arguments(content, style, init, masks, style_masks, options)
    spec, config = prepared.spec, prepared.config
    use_compilation_cache()
    shown = progress if progress is not None else is_interactive()
    with show_progress(sum(scale.steps for scale in spec.scales), quiet=not shown, scales=spec.scales) as bar:
        observer = _Observer(bar, callback)
        with interruptible(observer):
            found = job.transfer(prepared.params, prepared.inputs, spec, observe=observer)
    messages = [*prepared.notices, *found.recoveries]
    return StyledImage(found.pixels[0], found.rows, found.seconds, to_yaml(config, record=False), messages, found.stopped)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)  # hashed by identity, for jax.jit
class Loss:
    """A loss as a pure, differentiable function of an image, float32 [1, h, w, 3].

    It is a pytree: pass it to `jax.jit` as an argument. Closed over, 200 MB of parameters would be constants of the program.

    Attributes:
        params: of the network.
        targets: what the image is compared with.
        weights: the weights of the terms, layers and regions.
        spec: the structure of the loss.
        plan: how it is executed.
    """

    params: Params
    targets: Targets
    weights: LossWeights
    spec: ObjectiveSpec = field(metadata={"static": True})
    plan: ExecutionPlan = field(metadata={"static": True}, default=WHOLE)

    def __call__(self, image: Image) -> Scalar:
        """The weighted sum of all terms."""
        return self._evaluate(image)[0]

    def terms(self, image: Image) -> Terms:
        """The weighted terms, "content", "style", "tv" and perhaps others, which add up to the loss."""
        return self._evaluate(image)[1]

    def _evaluate(self, image: Image) -> tuple[Scalar, Terms]:
        return loss(self.params, image, self.targets, self.weights, spec=self.spec, plan=self.plan)


def make_loss(
    content: PictureLike,
    style: "PictureLike | Sequence[PictureLike]",
    /,
    *,
    init: PictureLike = None,
    masks: Sequence[PictureLike] = (),
    style_masks: Sequence[PictureLike] = (),
    **options: Unpack[Options],
) -> tuple[Loss, Image]:
    """Builds the loss that `transfer` minimizes at its last scale, and the image that it would start from there.

    Takes the arguments of `transfer`; `steps`, `optimizer` and the scales before the last have no effect.

    Returns:
        The loss and an image, float32 [1, h, w, 3] with the longer side `size`.

    Example:
        >>> import numpy as np, jax
        >>> ramp = np.linspace(0, 1, 16 * 16 * 3, dtype=np.float32).reshape(16, 16, 3)
        >>> loss, image = make_loss(ramp, ramp, size=16, loss={"content_layers": ["relu1_1"], "style_layers": ["relu1_1"]})
        >>> jax.grad(loss)(image).shape
        (1, 16, 16, 3)
    """
    prepared = prepare_arguments(content, style, init, masks, style_masks, options)
    spec = dataclasses.replace(prepared.spec, scales=prepared.spec.scales[-1:])
    job.check_pictures(prepared.inputs, spec)
    (stage,) = job.make_stages(prepared.inputs, spec)
    objective: Any = spec.objective
    plan = choose_plan(spec, stage.height_width, regions=stage.regions)
    targets_of = jax.jit(functools.partial(objective.targets, plan=plan))
    targets = targets_of(prepared.params, *jax.device_put(stage.pictures))
    weights = jax.tree.map(jnp.float32, spec.loss_weights)
    image = jnp.asarray(initial_image(stage, spec, prepared.inputs.init))
    return Loss(prepared.params, targets, weights, objective, plan), image


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
