"""The stages of a job, coarse to fine: every picture at every scale, and the checks of the pictures."""

from typing import Any, NamedTuple

import jax
import numpy as np

from nst_jax.errors import InputError
from nst_jax.images.color import match_covariance, recolor, transport
from nst_jax.images.files import fit_long_side, resize
from nst_jax.images.masks import Mask, check_mask, check_regions, regions_at
from nst_jax.job.spec import Inputs, JobSpec, Scale
from nst_jax.objective.loss import LossWeights, Styles
from nst_jax.objective.temporal import Reference
from nst_jax.system.memory import available_bytes
from nst_jax.types import Pixels

# Images of the size of the result that every job holds at once: content, start, gradient, and the solver's.
_LEAST_IMAGES = 8


class Stage(NamedTuple):
    """One scale of a job.

    Attributes:
        number: of the scale, from 0.
        scale: its size and steps.
        content: at this size, recolored if `JobSpec.color` asks for it.
        styles: likewise, with their shares.
        colors: the picture, at this size, whose colors the result gets; None leaves its own.
        before: height and width of the scale before.
        coarser: the content at the scale before; None at the first scale, and if the loss has no content term.
        is_last: the finest one.
        reference: see `Inputs`.
    """

    number: int
    scale: Scale
    content: Pixels
    styles: Styles
    colors: Pixels | None
    before: tuple[int, int] | None
    coarser: Pixels | None
    is_last: bool
    reference: Reference | None = None

    @property
    def pictures(self) -> tuple[Any, ...]:
        """What the targets are made of, the content first."""
        given = (self.content, self.styles)
        return given if self.reference is None else (*given, self.reference)

    @property
    def height_width(self) -> tuple[int, int]:
        """Of the content, in pixels."""
        return self.content.shape[1], self.content.shape[2]

    @property
    def regions(self) -> int:
        """Their number; 1 without masks."""
        return 1 if self.styles.regions is None else len(self.styles.regions)

    @property
    def detail(self) -> Pixels:
        """The content minus the enlarged content of the scale before, computed at each access; 0 without a coarser content."""
        if self.coarser is None:
            return np.zeros_like(self.content)
        return self.content - resize(self.coarser, self.height_width)


def make_stages(inputs: Inputs, spec: JobSpec) -> list[Stage]:
    """The stages of a job, coarse to fine, with the pictures at their sizes."""
    recolored = [recolor(inputs.content, style, spec.color) for style in inputs.styles]
    content = recolored[0][0] if recolored else inputs.content
    seen = inputs._replace(content=content, styles=tuple(style for _, style in recolored))
    stages: list[Stage] = []
    for number in range(len(spec.scales)):
        stage = _stage(number, seen, spec, stages[-1].content if stages else None)
        if spec.color == "luminance":
            stage = stage._replace(colors=resize(inputs.content, stage.height_width))
        elif spec.color == "locked":
            stage = stage._replace(colors=_recolored(stage, spec))
        stages.append(stage)
    return stages


def check_pictures(inputs: Inputs, spec: JobSpec) -> None:
    """Raises InputError for a size beyond memory, bad masks, or a picture too narrow for the deepest layer at some scale."""
    check_size(*_content_size(inputs.content, spec.scales[-1]), spec.scales[-1].size)
    _check_masks(inputs, spec)
    smallest = spec.objective.smallest
    for scale in spec.scales:
        sizes = [("content", _content_size(inputs.content, scale))]
        sizes += [("style", size) for size in _style_sizes(inputs.styles, scale, spec)]
        for role, (height, width) in sizes:
            if min(height, width) < smallest:
                raise InputError(
                    f"{role} must be at least {smallest} pixels on each side at the scale {scale.size}, got {width}x{height};"
                    " use a larger scale, or crop the picture"
                )


def check_size(height: int, width: int, size: int) -> None:
    """Raises InputError for an image whose few copies alone, whatever is tiled, are more than is free: before they are made."""
    needed, free = _LEAST_IMAGES * 12 * height * width, available_bytes()
    if free is not None and needed > free:
        raise InputError(
            f"size must give a picture that fits into memory, got {size}, which is {width}x{height} and takes at least"
            f" {needed / 2**30:.0f} GiB of the {free / 2**30:.0f} that are free; use a smaller size"
        )


def _check_masks(inputs: Inputs, spec: JobSpec) -> None:
    for number, mask in enumerate(inputs.masks, 1):
        if mask is not None:
            check_mask(f"the mask of region {number}", mask, inputs.content)
    for number, (mask, style) in enumerate(zip(inputs.style_masks, inputs.styles, strict=False), 1):
        if mask is not None:
            check_mask(f"the mask of style {number}", mask, style)
            if resize(mask, _style_sizes(inputs.styles, spec.scales[0], spec)[number - 1]).sum() < 1:
                raise InputError(
                    f"the mask of style {number} must have a white part, got a black picture; paint what counts white"
                )
    for scale in spec.scales if inputs.masks else ():
        check_regions(inputs.masks, _content_size(inputs.content, scale))


def initial_image(stage: Stage, spec: JobSpec, init: Pixels | None) -> Pixels:
    """The first image of the job, at the size of its first stage; `init` is the picture for "file" and "adain"."""
    if spec.init == "noise":
        return np.asarray(jax.random.uniform(jax.random.key(spec.seed), stage.content.shape, np.float32))
    if spec.init == "recolored":
        return _recolored(stage, spec)
    style = np.asarray(next(iter(stage.styles.pictures), stage.content))
    source = {"content": stage.content, "style": style, "adain": init, "file": init}[spec.init]
    assert source is not None, "init='file' and init='adain' come with a picture"
    return resize(source, (stage.content.shape[1], stage.content.shape[2]))


def _recolored(stage: Stage, spec: JobSpec) -> Pixels:
    """The content in the colors of the styles, by region and by their shares at the first layer; regions of weight 0 stay."""
    content, styles = stage.content, stage.styles
    count = len(styles.pictures)
    if not count:
        return content
    masks = styles.masks or (None,) * count
    seen = [
        _within(np.asarray(style), None if mask is None else np.asarray(mask))
        for style, mask in zip(styles.pictures, masks, strict=True)
    ]
    moved = [match_covariance(content, colors, transport) for colors in seen]
    regions = np.ones((1, 1, 1, 1), np.float32) if styles.regions is None else np.asarray(styles.regions)
    shares = next(iter(spec.style_shares.values()), ((1 / count,) * count,) * len(regions))
    total = np.zeros_like(content)
    for region, row, weight in zip(regions, shares, spec.loss_weights.regions, strict=True):
        painted = sum((np.float32(share) * picture for share, picture in zip(row, moved, strict=True)), np.zeros_like(content))
        total += region[None] * (painted if weight else content)
    return total


def _within(style: Pixels, mask: Mask | None) -> Pixels:
    """The pixels of a style that count, as a column."""
    return style if mask is None else style[mask[..., 0] >= mask.max() / 2][None, :, None]


def _stage(index: int, inputs: Inputs, spec: JobSpec, coarser: Pixels | None) -> Stage:
    scale = spec.scales[index]
    height_width = _content_size(inputs.content, scale)
    content = resize(inputs.content, height_width)
    before = None if coarser is None else (coarser.shape[1], coarser.shape[2])
    if not (isinstance(spec.loss_weights, LossWeights) and any(spec.loss_weights.content.values())):
        coarser = None
    last = index == len(spec.scales) - 1
    styles = _styles_at(inputs, scale, spec)
    return Stage(index, scale, content, styles, None, before, coarser, last, inputs.reference)


def _styles_at(inputs: Inputs, scale: Scale, spec: JobSpec) -> Styles:
    """The styles and all masks at the sizes of a scale."""
    sizes = _style_sizes(inputs.styles, scale, spec)
    masks = [None if mask is None else resize(mask, size) for mask, size in zip(inputs.style_masks, sizes, strict=False)]
    regions = regions_at(inputs.masks, _content_size(inputs.content, scale)) if inputs.masks else None
    shares = jax.tree.map(np.float32, spec.style_shares)
    return Styles(tuple(map(resize, inputs.styles, sizes)), shares or None, tuple(masks), regions)  # pyright: ignore


def _content_size(content: Pixels, scale: Scale) -> tuple[int, int]:
    return fit_long_side(content.shape[1], content.shape[2], scale.size)


def _style_sizes(styles: tuple[Pixels, ...], scale: Scale, spec: JobSpec) -> list[tuple[int, int]]:
    factors = spec.style_scales * len(styles) if len(spec.style_scales) == 1 else spec.style_scales
    sizes = [min(round(scale.size * factor), max(s.shape[1:3])) for s, factor in zip(styles, factors, strict=True)]
    return [fit_long_side(s.shape[1], s.shape[2], size) for s, size in zip(styles, sizes, strict=True)]
