"""Weigh: the loss of Gatys et al. as one pure function of the image, features → measure → score → weigh."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nst_jax.errors import InputError, check_one_of
from nst_jax.networks.convnet import NetworkSpec, smallest_image
from nst_jax.objective.conventions import CONVENTIONS, Convention
from nst_jax.objective.hypercolumns import deepest, joined, joined_channels, taps_of
from nst_jax.objective.palette import Palette, color_term, make_palette
from nst_jax.objective.priors import TOTAL_VARIATIONS
from nst_jax.objective.statistics import Statistics, content_distance, squared_error, wide
from nst_jax.objective.style import STYLE_DISTANCES, StyleDistance
from nst_jax.objective.temporal import Reference, temporal_term
from nst_jax.objective.wasserstein import EPSILON
from nst_jax.partition import WHOLE, ExecutionPlan
from nst_jax.partition.receptive_field import guides
from nst_jax.partition.tiles import feature_maps, sum_over_positions
from nst_jax.partition.windows import lengths
from nst_jax.types import Features, Image, Params, Scalar

# Weighted terms of a loss by name; they add up to it. Metrics, tables and charts show whatever terms there are.
Terms = dict[str, Scalar]


@runtime_checkable
class Objective(Protocol):
    """An objective of a job: the structure of a loss, hashable, and its pure functions."""

    @property
    def network(self) -> NetworkSpec:
        """The network whose maps the loss looks at."""
        ...

    @property
    def taps(self) -> tuple[str, ...]:
        """Every layer the loss looks at, once."""
        ...

    @property
    def smallest(self) -> int:
        """The smallest side of a picture, in pixels, that every part of the loss is defined for."""
        ...

    @property
    def terms(self) -> tuple[str, ...]:
        """The names of the terms that `loss` returns."""
        ...

    def targets(self, params: Params, *pictures: Any, plan: ExecutionPlan = WHOLE) -> Any:
        """The targets that the image is compared with."""
        ...

    def loss(
        self, params: Params, image: Image, targets: Any, weights: Any, plan: ExecutionPlan = WHOLE
    ) -> tuple[Scalar, Terms]:
        """The loss of an image, and its terms by name, which add up to it."""
        ...


@dataclass(frozen=True)
class ObjectiveSpec:
    """The structure of the loss; changing any of it triggers recompilation, changing a `LossWeights` does not.

    Attributes:
        network: whose feature maps are compared.
        content_layers: where the image is to agree with the content picture.
        style_layers: where the image's statistics are to agree with the style's; several joined by + are a hypercolumn.
        style_distance: a key of `style.STYLE_DISTANCES`.
        convention: a key of `conventions.CONVENTIONS`: whose normalization the weights are meant for.
        tv: the form of the total variation, a key of `priors.TOTAL_VARIATIONS`.
        epsilon: ε of the Wasserstein distance, above 0, see `wasserstein.EPSILON`.
        temporal: whether the image is also to agree with the frames before it, see `temporal.temporal_term`.
        color: whether its colors are also to agree with the styles', see `palette.color_term`; only with style layers.
        turned: whether the styles' quarter turns count as they do.
    """

    network: NetworkSpec
    content_layers: tuple[str, ...]
    style_layers: tuple[str, ...]
    style_distance: str = "gram"
    convention: str = "paper"
    tv: str = "l2"
    epsilon: float = EPSILON
    temporal: bool = False
    color: bool = False
    turned: bool = False
    parts: tuple[StyleDistance, Convention, Callable[[Image], Scalar]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Looks up what is chosen by name: specs are equal if that is, so another function of the same name recompiles."""
        tables = (("style_distance", STYLE_DISTANCES), ("convention", CONVENTIONS), ("tv", TOTAL_VARIATIONS))
        names = [check_one_of(f"loss.{name}", getattr(self, name), tuple(table)) for name, table in tables]
        object.__setattr__(self, "parts", tuple(table[name] for name, (_, table) in zip(names, tables, strict=True)))

    @property
    def terms(self) -> tuple[str, ...]:
        """See `loss`."""
        further = (("color", self.color), ("temporal", self.temporal))
        return ("content", "style", "tv", *(name for name, there in further if there))

    @property
    def taps(self) -> tuple[str, ...]:
        """Every layer the loss looks at, once."""
        return tuple(dict.fromkeys(self.content_layers + self.style_taps))

    @property
    def style_taps(self) -> tuple[str, ...]:
        """Every layer that the style term looks at, once."""
        return tuple(dict.fromkeys(tap for layer in self.style_layers for tap in taps_of(layer)))

    @property
    def smallest(self) -> int:
        """See `smallest_image`."""
        return smallest_image(self.network.architecture, self.taps)

    def targets(self, params: Params, *pictures: Any, plan: ExecutionPlan = WHOLE) -> "Targets":
        """See `make_targets`."""
        return make_targets(params, *pictures, spec=self, plan=plan)

    def loss(
        self, params: Params, image: Image, targets: "Targets", weights: "LossWeights", plan: ExecutionPlan = WHOLE
    ) -> tuple[Scalar, Terms]:
        """See `loss`."""
        return loss(params, image, targets, weights, spec=self, plan=plan)


class Styles(NamedTuple):
    """The style pictures, which may differ in size, and what each is for.

    Attributes:
        pictures: one or more.
        shares: by layer, and there by region, the share of each picture, traced; they add up to 1. None: equal shares.
        masks: of each picture, which part of it counts, in [0, 1]; () or None: all of it.
        regions: of the content picture, each in [0, 1], stacked; None: one that covers everything.
    """

    pictures: tuple[Float[Array, "1 _h _w 3"], ...]
    shares: Mapping[str, tuple[tuple[Scalar, ...], ...]] | None = None
    masks: "tuple[Float[Array, '1 _h _w 1'] | None, ...]" = ()
    regions: Float[Array, "r h w 1"] | None = None


class LossWeights(NamedTuple):
    """The traced multipliers: α and β times the weight w_l of each layer, of each region, and of the further terms."""

    content: Mapping[str, Scalar]
    style: Mapping[str, Scalar]
    tv: Scalar
    regions: tuple[Scalar | float, ...] = (1.0,)
    temporal: Scalar | float = 0.0
    color: Scalar | float = 0.0


class Targets(NamedTuple):
    """Targets of the image, by layer.

    Attributes:
        content: the content's feature maps.
        style: for each region, what the style distance keeps of the styles.
        guides: for each region, how much each position belongs to it; None: all of them do.
        reference: of the temporal term, if the loss has one.
        palette: of the color term, if the loss has one.
    """

    content: Features
    style: dict[str, tuple[Any, ...]]
    guides: "dict[str, tuple[Float[Array, '1 h w'] | None, ...]]"
    reference: Reference | None = None
    palette: Palette | None = None


def make_targets(
    params: Params,
    content: Array,
    styles: Styles,
    reference: Reference | None = None,
    *,
    spec: ObjectiveSpec,
    plan: ExecutionPlan = WHOLE,
) -> Targets:
    """The targets of a content picture, [1, h, w, 3] in [0, 1], of styles and, for a temporal term, of the frames before.

    Raises:
        InputError: a picture of another shape or dtype, or too small for a layer.
    """
    _check_picture("content", content, spec.smallest)
    for style in styles.pictures:
        _check_picture("style", style, smallest_image(spec.network.architecture, spec.style_taps or spec.taps))
    content_maps = feature_maps(params, content, taps=spec.content_layers, spec=spec.network, plan=plan)
    if not spec.style_layers:
        return Targets(content_maps, {}, {}, reference)
    distance = spec.parts[0]
    masks = styles.masks or (None,) * len(styles.pictures)
    described = [_describe(params, *pair, spec=spec, plan=plan) for pair in zip(styles.pictures, masks, strict=True)]
    targets, guides_of = {}, _guides(styles.regions, content, spec)
    equal = ((1 / len(described),) * len(described),) * len(guides_of[spec.style_layers[0]])
    shares = styles.shares or dict.fromkeys(spec.style_layers, equal)
    for name in spec.style_layers:
        targets[name] = tuple(
            distance.barycenter([found[name] for found in described], region, spec.epsilon) for region in shares[name]
        )
    palette = None
    if spec.color:  # which styles have which share in it is as at the first layer
        first = shares[spec.style_layers[0]]
        palette = make_palette(styles.pictures, masks, first, styles.regions, (content.shape[1], content.shape[2]))
    return Targets(content_maps, targets, guides_of, reference, palette)


def _describe(
    params: Params, style: Image, mask: Float[Array, "1 h w 1"] | None, *, spec: ObjectiveSpec, plan: ExecutionPlan
) -> dict[str, Any]:
    """The statistics of one style picture, or of the part of it within a mask, by layer; its quarter turns count alike."""
    turned = [(style, mask)]
    if spec.turned:
        turned = [(_turn(style, k), None if mask is None else _turn(mask, k)) for k in range(4)]
    if spec.parts[0].additive_styles:
        found = [_sums_of_style(params, *pair, spec=spec, plan=plan) for pair in turned]
        return jax.tree.map(lambda *parts: sum(parts[1:], parts[0]), *found)
    columns = [_columns_of_style(params, *pair, spec=spec, plan=plan) for pair in turned]
    found = jax.tree.map(lambda *parts: jnp.concatenate(parts, axis=1), *columns)
    return {name: spec.parts[0].target_stats(*found[name]) for name in spec.style_layers}


def _turn(picture: Float[Array, "1 h w c"], quarters: int) -> Float[Array, "1 _h _w c"]:
    return jnp.rot90(picture, quarters, (1, 2))


def _sums_of_style(
    params: Params, style: Image, mask: Float[Array, "1 h w 1"] | None, *, spec: ObjectiveSpec, plan: ExecutionPlan
) -> dict[str, Any]:
    """Statistics that add up over positions."""

    def sums(maps: Features, guides_of: Any, _: None) -> dict[str, Any]:
        return {
            name: spec.parts[0].target_stats(_map_of(maps, name, spec), *guides_of[deepest(name)][name])
            for name in spec.style_layers
        }

    beside = _by_tap(_guides(mask, style, spec))
    return sum_over_positions(sums, params, style, beside, None, taps=spec.style_taps, spec=spec.network, plan=plan)


def _columns_of_style(
    params: Params, style: Image, mask: Float[Array, "1 h w 1"] | None, *, spec: ObjectiveSpec, plan: ExecutionPlan
) -> "dict[str, tuple[Float[Array, '1 m 1 c'], Float[Array, '1 m 1'] | None]]":
    """All positions of each map, one after another, and how they count if not alike."""
    heights = lengths(spec.network.architecture, spec.style_taps, style.shape[1])
    maps = feature_maps(params, style, taps=spec.style_taps, spec=spec.network, plan=plan)
    maps = {name: found[:, : heights[name]] for name, found in maps.items()}
    columns, guides_of = {}, _guides(mask, style, spec)
    for name in spec.style_layers:
        found, guide = _map_of(maps, name, spec), guides_of[name][0]
        columns[name] = found.reshape(1, -1, 1, found.shape[-1]), None if guide is None else guide.reshape(1, -1, 1)
    return columns


def _map_of(maps: Features, layer: str, spec: ObjectiveSpec) -> Float[Array, "n h w c"]:
    return joined(maps, layer, spec.network.architecture)


def _guides(regions: Float[Array, "r h w 1"] | None, picture: Image, spec: ObjectiveSpec) -> dict[str, tuple[Any, ...]]:
    """By style layer, the guide of each region.

    Of a hypercolumn it is never None: what several devices fill its maps up with must not count, and differs from map to map.
    """
    taps = {layer: deepest(layer) for layer in spec.style_layers}
    if regions is None:
        plain = {layer for layer in taps if len(taps_of(layer)) == 1}
        sides = [lengths(spec.network.architecture, spec.style_taps, side) for side in picture.shape[1:3]]
        return {
            layer: (None if layer in plain else jnp.ones((1, *(side[tap] for side in sides)), picture.dtype),)
            for layer, tap in taps.items()
        }
    found = guides(regions, tuple(taps.values()), spec.network.architecture)
    return {layer: tuple(found[tap][i : i + 1, :, :, 0] for i in range(len(regions))) for layer, tap in taps.items()}


def _by_tap(guides_of: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """By the layer over whose map they lie, and there by style layer."""
    found: dict[str, dict[str, Any]] = {}
    for layer, given in guides_of.items():
        found.setdefault(deepest(layer), {})[layer] = given
    return found


def measure(params: Params, image: Image, targets: Targets, *, spec: ObjectiveSpec, plan: ExecutionPlan = WHOLE) -> Statistics:
    """The statistics of an image, of style for each region."""
    stats = spec.parts[0].stats

    def of(maps: Features, beside: Any, style_targets: Any) -> Statistics:
        style = {
            name: tuple(stats(_map_of(maps, name, spec), *region) for region in zip(guide, style_targets[name], strict=True))
            for tap in spec.style_taps
            for name, guide in beside[tap][1].items()
        }
        return Statistics(style, {name: squared_error(maps[name], beside[name][0]) for name in spec.content_layers})

    guides_of = _by_tap(targets.guides)
    beside = {name: (targets.content.get(name), guides_of.get(name, {})) for name in spec.taps}
    return sum_over_positions(of, params, image, beside, targets.style, taps=spec.taps, spec=spec.network, plan=plan)


def score(statistics: Statistics, targets: Targets, weights: LossWeights, *, spec: ObjectiveSpec) -> tuple[Any, Any]:
    """The weighed content and style terms, from the statistics of an image alone.

    L_content = α Σ_l w_l ½ Σ (F − P)²,  L_style = β Σ_l w_l Σ_r λ_r a_r E_lr (Gatys et al. 2016, eqs. 1, 4, 5, 7), each times
    the factor of the convention. E_lr compares a region with its target; a_r is the share of the positions that it has, so
    that regions pull alike at each position, times the weight λ_r of the region.
    """
    (_, _, _, distance, *_), convention, _ = spec.parts
    content, style = 0.0, 0.0
    for name, error in statistics.content.items():
        content += weights.content[name] * convention.content_factor(error) * content_distance(error)
    for name, regions in statistics.style.items():
        channels = joined_channels(spec.network.architecture, name)
        factor = convention.style_factor(spec.style_distance, channels=channels, num_layers=len(statistics.style))
        positions = sum(found.positions for found in regions)
        for weight, found, target in zip(weights.regions, regions, targets.style[name], strict=True):
            share = weight * found.positions / positions
            style += weights.style[name] * factor * share * distance(found, target)
    return content, style


def loss(
    params: Params,
    image: Array,
    targets: Targets,
    weights: LossWeights,
    *,
    spec: ObjectiveSpec,
    plan: ExecutionPlan = WHOLE,
) -> tuple[Scalar, Terms]:
    """L_total = α L_content + β L_style + the weighted total variation (Gatys et al. 2016, eq. 7), and these terms by name.

    With `ObjectiveSpec.color` and `.temporal` also these weighted terms.

    Args:
        params: of the network.
        image: the picture being optimized, [1, h, w, 3]; values outside of [0, 1] are allowed.
        targets: from `make_targets`.
        weights: traced: one compiled program serves them all.
        spec: the structure of the loss; static.
        plan: how it is executed; static.

    Raises:
        InputError: an image of another shape or dtype, too small for a layer, or of another size than the content.
    """
    _check_picture("image", image, spec.smallest)
    _check_targets(image, targets, spec, plan)
    statistics = measure(params, image, targets, spec=spec, plan=plan)
    content, style = score(statistics, targets, weights, spec=spec)
    tv = weights.tv * spec.parts[2](image.astype(wide(image)))
    found = {"content": content, "style": style, "tv": tv}
    if spec.color:
        assert targets.palette is not None, "make_targets was given another spec"
        found["color"] = weights.color * color_term(image.astype(wide(image)), targets.palette, weights.regions)
    if spec.temporal:
        assert targets.reference is not None, "make_targets was given none"
        found["temporal"] = weights.temporal * temporal_term(image.astype(wide(image)), targets.reference)
    terms = {name: jnp.asarray(term, wide(image)) for name, term in found.items()}
    return sum(terms.values(), jnp.zeros((), wide(image))), terms


def _check_picture(what: str, picture: Array, smallest: int) -> None:
    """Raises InputError unless `picture` is one picture, of floating point, that reaches every layer."""
    shape = jnp.shape(picture)
    if len(shape) != 4 or (shape[0], shape[3]) != (1, 3):
        raise InputError(f"{what} must have the shape [1, h, w, 3], got {list(shape)}; use jax.vmap for several")
    if not jnp.issubdtype(picture.dtype, jnp.floating):
        raise InputError(f"{what} must be floating point in [0, 1], got {picture.dtype}; divide by 255")
    if min(shape[1:3]) < smallest:
        size = f"{shape[2]}x{shape[1]}"
        raise InputError(f"{what} must be at least {smallest} pixels on each side for these layers, got {size}; enlarge it")


def _check_targets(image: Array, targets: Targets, spec: ObjectiveSpec, plan: ExecutionPlan) -> None:
    """Raises InputError unless the targets are those of a content of the image's size; rows for several devices may follow."""
    expected = [lengths(spec.network.architecture, spec.taps, side) for side in image.shape[1:3]] if spec.taps else []
    given = [*targets.content.items(), *((name, guide) for name, guides in targets.guides.items() for guide in guides)]
    for name, array in given:
        if array is None:
            continue
        height, width = (side[deepest(name)] for side in expected)
        if array.shape[2] != width or (array.shape[1] < height if plan.devices > 1 else array.shape[1] != height):
            raise InputError(
                f"targets of {name} must have {width}x{height} positions as the image has,"
                f" got {array.shape[2]}x{array.shape[1]}; make them of a content of the image's size"
            )
