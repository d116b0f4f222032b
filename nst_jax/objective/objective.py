"""Weigh: the loss of Gatys et al. as one pure function of the image, features → measure → score → weigh."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Float

from nst_jax.networks.convnet import NetworkSpec, features, smallest_image
from nst_jax.objective.content import content_distance
from nst_jax.objective.conventions import CONVENTIONS
from nst_jax.objective.priors import total_variation
from nst_jax.objective.statistics import Statistics, measure, moments
from nst_jax.objective.style import STYLE_DISTANCES
from nst_jax.types import Features, Image, Params

Scalar = Float[Array, ""]


@runtime_checkable
class Objective(Protocol):
    """What a job optimizes an image for: the structure of a loss, hashable, and the pure functions of it."""

    @property
    def network(self) -> NetworkSpec:
        """The network whose maps the loss looks at."""
        ...

    @property
    def smallest(self) -> int:
        """The smallest side of a picture, in pixels, that every part of the loss is defined for."""
        ...

    def targets(self, params: Params, *pictures: Any) -> Any:
        """What the image is compared with."""
        ...

    def loss(self, params: Params, image: Image, targets: Any, weights: Any) -> "tuple[Scalar, Terms]":
        """The loss of an image and its parts."""
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
    """

    network: NetworkSpec
    content_layers: tuple[str, ...]
    style_layers: tuple[str, ...]
    style_distance: str = "gram"
    convention: str = "paper"

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

    def loss(self, params: Params, image: Image, targets: "Targets", weights: "LossWeights") -> "tuple[Scalar, Terms]":
        """See `loss`."""
        return loss(params, image, targets, weights, spec=self)


class LossWeights(NamedTuple):
    """The traced multipliers: α and β times the weight w_l of each layer, and that of the total variation."""

    content: Mapping[str, Scalar]
    style: Mapping[str, Scalar]
    tv: Scalar


class Targets(NamedTuple):
    """What the image is compared with, by layer: the content's feature maps and what the style distance keeps of the style."""

    content: Features
    style: dict[str, Any]


class Terms(NamedTuple):
    """The weighed parts of the loss; they add up to it."""

    content: Scalar
    style: Scalar
    tv: Scalar


def make_targets(params: Params, content: Image, style: Float[Array, "1 h2 w2 3"], *, spec: ObjectiveSpec) -> Targets:
    """The targets of a content and a style picture, which may differ in size."""
    style_maps = features(params, style, spec.style_layers, spec=spec.network) if spec.style_layers else {}
    content_maps = features(params, content, spec.content_layers, spec=spec.network) if spec.content_layers else {}
    prepare = STYLE_DISTANCES[spec.style_distance].prepare
    return Targets(content_maps, {name: prepare(moments(style_map)) for name, style_map in style_maps.items()})


def score(statistics: Statistics, targets: Targets, weights: LossWeights, *, spec: ObjectiveSpec) -> tuple[Scalar, Scalar]:
    """The weighed content and style terms, from the statistics of an image alone.

    L_content = α Σ_l w_l ½ Σ (F − P)²,  L_style = β Σ_l w_l E_l (Gatys et al. 2016, eqs. 1, 4, 5, 7), each times the factor
    of the convention.
    """
    convention = CONVENTIONS[spec.convention]
    distance = STYLE_DISTANCES[spec.style_distance].between
    content, style = jnp.zeros(()), jnp.zeros(())
    for name, error in statistics.content.items():
        content += weights.content[name] * convention.content_factor(error) * content_distance(error)
    for name, found in statistics.style.items():
        factor = convention.style_factor(spec.style_distance, channels=found.sum.shape[0], num_layers=len(statistics.style))
        style += weights.style[name] * factor * distance(found, targets.style[name])
    return content, style


def loss(params: Params, image: Image, targets: Targets, weights: LossWeights, *, spec: ObjectiveSpec) -> tuple[Scalar, Terms]:
    """L_total = α L_content + β L_style + the total variation's share (Gatys et al. 2016, eq. 7), and these three terms.

    Args:
        params: of the network.
        image: the picture being optimized; values outside of [0, 1] are allowed.
        targets: from `make_targets`.
        weights: traced: one compiled program serves them all.
        spec: static.
    """
    maps = features(params, image, spec.taps, spec=spec.network)
    statistics = measure(maps, targets.content, spec.style_layers)
    content, style = score(statistics, targets, weights, spec=spec)
    tv = weights.tv * total_variation(image)
    return content + style + tv, Terms(content, style, tv)
