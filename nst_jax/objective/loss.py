"""Weigh: the loss of Gatys et al. as one pure function of the image, features → measure → score → weigh."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Float

from nst_jax.networks.convnet import NetworkSpec, smallest_image
from nst_jax.networks.guides import guides
from nst_jax.objective.conventions import CONVENTIONS
from nst_jax.objective.priors import TOTAL_VARIATIONS
from nst_jax.objective.statistics import Statistics, content_distance, squared_error
from nst_jax.objective.style import STYLE_DISTANCES
from nst_jax.objective.wasserstein import EPSILON
from nst_jax.partition.tiles import feature_maps, sum_over_positions
from nst_jax.types import Features, Image, Params

Scalar = Float[Array, ""]
# Weighted terms of a loss by name; they add up to it. Metrics, tables and charts show whatever terms there are.
Terms = dict[str, Scalar]


@runtime_checkable
class Objective(Protocol):
    """What a job optimizes an image for: the structure of a loss, hashable, and the pure functions of it."""

    @property
    def network(self) -> NetworkSpec:
        """The network whose maps the loss looks at."""
        ...

    @property
    def taps(self) -> tuple[str, ...]:
        """Every layer the loss looks at, once."""
        ...

    @property
    def tile(self) -> int | str:
        """The longest side, in pixels, of what the network is run on at a time, or "auto"; 0 is the whole picture."""
        ...

    @property
    def devices(self) -> int | str:
        """How many devices share the work, or "auto"."""
        ...

    @property
    def smallest(self) -> int:
        """The smallest side of a picture, in pixels, that every part of the loss is defined for."""
        ...

    @property
    def terms(self) -> tuple[str, ...]:
        """The names of the terms that `loss` returns."""
        ...

    def targets(self, params: Params, *pictures: Any) -> Any:
        """What the image is compared with."""
        ...

    def loss(self, params: Params, image: Image, targets: Any, weights: Any) -> tuple[Scalar, Terms]:
        """The loss of an image, and its terms by name, which add up to it."""
        ...


@dataclass(frozen=True)
class ObjectiveSpec:
    """The structure of the loss; changing any of it compiles anew, changing a `LossWeights` does not.

    Attributes:
        network: whose feature maps are compared.
        content_layers: where the image is to agree with the content picture.
        style_layers: where the image's statistics are to agree with the style's.
        style_distance: a key of `style.STYLE_DISTANCES`.
        convention: a key of `conventions.CONVENTIONS`: whose normalization the weights are meant for.
        tv: the form of the total variation, a key of `priors.TOTAL_VARIATIONS`.
        epsilon: ε of the Wasserstein distance, above 0, see `wasserstein.EPSILON`.
        tile: the longest side, in pixels, of what the network is run on at a time; 0 is the whole picture; "auto" is 0 until
            `nst_jax.job.memory_plan.choose_plan` has chosen.
        devices: how many devices share the work; "auto" likewise.
    """

    network: NetworkSpec
    content_layers: tuple[str, ...]
    style_layers: tuple[str, ...]
    style_distance: str = "gram"
    convention: str = "paper"
    tv: str = "l2"
    epsilon: float = EPSILON
    tile: int | str = 0
    devices: int | str = 1

    @property
    def terms(self) -> tuple[str, ...]:
        """See `loss`."""
        return ("content", "style", "tv")

    @property
    def taps(self) -> tuple[str, ...]:
        """Every layer the loss looks at, once."""
        return tuple(dict.fromkeys(self.content_layers + self.style_layers))

    @property
    def smallest(self) -> int:
        """See `smallest_image`."""
        return smallest_image(self.network.architecture, self.taps)

    def targets(self, params: Params, *pictures: Any) -> "Targets":
        """See `make_targets`."""
        return make_targets(params, *pictures, spec=self)

    def loss(self, params: Params, image: Image, targets: "Targets", weights: "LossWeights") -> tuple[Scalar, Terms]:
        """See `loss`."""
        return loss(params, image, targets, weights, spec=self)


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
    """The traced multipliers: α and β times the weight w_l of each layer, of the total variation, and of each region."""

    content: Mapping[str, Scalar]
    style: Mapping[str, Scalar]
    tv: Scalar
    regions: tuple[Scalar | float, ...] = (1.0,)


class Targets(NamedTuple):
    """What the image is compared with, by layer.

    Attributes:
        content: the content's feature maps.
        style: for each region, what the style distance keeps of the styles.
        guides: for each region, how much each position belongs to it; None: all of them do.
    """

    content: Features
    style: dict[str, tuple[Any, ...]]
    guides: "dict[str, tuple[Float[Array, '1 h w'] | None, ...]]"


def make_targets(params: Params, content: Image, styles: Styles, *, spec: ObjectiveSpec) -> Targets:
    """The targets of a content picture and styles."""
    content_maps = feature_maps(
        params, content, taps=spec.content_layers, spec=spec.network, tile=spec.tile, devices=spec.devices
    )
    if not spec.style_layers:
        return Targets(content_maps, {}, {})
    distance = STYLE_DISTANCES[spec.style_distance]
    masks = styles.masks or (None,) * len(styles.pictures)
    described = [_describe(params, *pair, spec=spec) for pair in zip(styles.pictures, masks, strict=True)]
    equal = ((1 / len(described),) * len(described),)
    targets, guides_of = {}, _guides(styles.regions, spec)
    for name in spec.style_layers:
        shares = styles.shares[name] if styles.shares else equal * len(guides_of[name])
        targets[name] = tuple(distance.blend([found[name] for found in described], region, spec.epsilon) for region in shares)
    return Targets(content_maps, targets, guides_of)


def _describe(params: Params, style: Image, mask: Float[Array, "1 h w 1"] | None, *, spec: ObjectiveSpec) -> dict[str, Any]:
    """What the style distance keeps of one style picture, or of the part of it within a mask, by layer."""
    describe = STYLE_DISTANCES[spec.style_distance].describe

    def sums(maps: Features, guides_of: Any, _: None) -> dict[str, Any]:
        return {name: describe(maps[name], *guides_of[name]) for name in spec.style_layers}

    return _summed(sums, params, style, _guides(mask, spec), None, taps=spec.style_layers, spec=spec)


def _summed(*arguments: Any, taps: tuple[str, ...], spec: ObjectiveSpec) -> Any:
    return sum_over_positions(*arguments, taps=taps, spec=spec.network, tile=spec.tile, devices=spec.devices)


def _guides(regions: Float[Array, "r h w 1"] | None, spec: ObjectiveSpec) -> dict[str, tuple[Any, ...]]:
    """By style layer, the guide of each region."""
    if regions is None:
        return {name: (None,) for name in spec.style_layers}
    found = guides(regions, spec.style_layers, spec.network.architecture)
    return {name: tuple(maps[i : i + 1, :, :, 0] for i in range(len(regions))) for name, maps in found.items()}


def measure(params: Params, image: Image, targets: Targets, *, spec: ObjectiveSpec) -> Statistics:
    """The statistics of an image, of style for each region."""
    distance = STYLE_DISTANCES[spec.style_distance].measure

    def of(maps: Features, beside: Any, style_targets: Any) -> Statistics:
        style = {
            name: tuple(distance(maps[name], *region) for region in zip(beside[name][1], style_targets[name], strict=True))
            for name in spec.style_layers
        }
        return Statistics(style, {name: squared_error(maps[name], beside[name][0]) for name in spec.content_layers})

    beside = {name: (targets.content.get(name), targets.guides.get(name)) for name in spec.taps}
    return _summed(of, params, image, beside, targets.style, taps=spec.taps, spec=spec)


def score(statistics: Statistics, targets: Targets, weights: LossWeights, *, spec: ObjectiveSpec) -> tuple[Scalar, Scalar]:
    """The weighed content and style terms, from the statistics of an image alone.

    L_content = α Σ_l w_l ½ Σ (F − P)²,  L_style = β Σ_l w_l Σ_r λ_r a_r E_lr (Gatys et al. 2016, eqs. 1, 4, 5, 7), each times
    the factor of the convention. E_lr compares a region with its target; a_r is the share of the positions that it has, so
    that regions pull alike at each position, times the weight λ_r of the region.
    """
    convention = CONVENTIONS[spec.convention]
    distance = STYLE_DISTANCES[spec.style_distance].between
    content, style = jnp.zeros(()), jnp.zeros(())
    for name, error in statistics.content.items():
        content += weights.content[name] * convention.content_factor(error) * content_distance(error)
    for name, regions in statistics.style.items():
        factor = convention.style_factor(spec.style_distance, channels=regions[0].channels, num_layers=len(statistics.style))
        positions = sum(found.positions for found in regions)
        for weight, found, target in zip(weights.regions, regions, targets.style[name], strict=True):
            share = weight * found.positions / positions
            style += weights.style[name] * factor * share * distance(found, target)
    return content, style


def loss(params: Params, image: Image, targets: Targets, weights: LossWeights, *, spec: ObjectiveSpec) -> tuple[Scalar, Terms]:
    """L_total = α L_content + β L_style + the weighted total variation (Gatys et al. 2016, eq. 7), and these terms by name.

    Args:
        params: of the network.
        image: the picture being optimized; values outside of [0, 1] are allowed.
        targets: from `make_targets`.
        weights: traced: one compiled program serves them all.
        spec: static.
    """
    statistics = measure(params, image, targets, spec=spec)
    content, style = score(statistics, targets, weights, spec=spec)
    tv = weights.tv * TOTAL_VARIATIONS[spec.tv](image)
    return content + style + tv, {"content": content, "style": style, "tv": tv}
