"""Style distances: between the feature statistics of an image and those of the style."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nst_jax.objective.neighbors import blend_bags, describe_bag, mismatch, neighbor_distance
from nst_jax.objective.sliced import Projections, blend_projections, describe_projections, projections, sliced_distance
from nst_jax.objective.statistics import Moments, moments
from nst_jax.objective.wasserstein import EPSILON, Root, barycenter_root, squared_bures

# Of a style among several: a number, or traced.
Share = Float[Array, ""] | float


def gram_matrix(m: Moments) -> Float[Array, "c c"]:
    """The Gram matrix of a feature map, divided by the number of positions M.

    Ĝ_ij = 1/M Σ_k F_ik F_jk. Gatys et al. (2016, eq. 3) do not divide by M; dividing lets images of different size be
    compared, and their loss is unchanged (see `gram_distance`). Symmetric and positive semi-definite.
    """
    return m.product / m.positions


def mean(m: Moments) -> Float[Array, " c"]:
    """The mean of every channel over the positions, μ_i = 1/M Σ_k F_ik."""
    return m.sum / m.positions


def covariance(m: Moments) -> Float[Array, "c c"]:
    """The covariance of the channels over the positions, Σ = Ĝ − μ μᵀ (divided by M, not by M − 1).

    Rounding may bring the smallest eigenvalues a little below 0.

    Example:
        >>> covariance(Moments(jnp.array(2.0), jnp.array([4.0]), jnp.array([[10.0]]))).tolist()  # of 1 and 3
        [[1.0]]
    """
    mu = mean(m)
    return gram_matrix(m) - mu[:, None] * mu[None, :]


def gram_distance(m: Moments, target: Moments) -> Float[Array, ""]:
    """The style loss of one layer, E_l = 1/(4 N² M²) Σ_ij (G_ij − A_ij)² (Gatys et al. 2016, eq. 4).

    N is the number of channels and M that of positions, which belongs to the Gram matrices here: ¼ of the mean squared
    difference of Ĝ and Â, so that image and style may differ in size.

    Example:
        >>> one = Moments(jnp.array(2.0), jnp.array([4.0]), jnp.array([[10.0]]))
        >>> two = Moments(jnp.array(1.0), jnp.array([1.0]), jnp.array([[1.0]]))
        >>> float(gram_distance(one, two))  # (10/2 - 1/1)² / 4
        4.0
    """
    return jnp.mean((gram_matrix(m) - gram_matrix(target)) ** 2) / 4


def _mean_distance(m: Moments, mu: Float[Array, " c"]) -> Float[Array, ""]:
    return jnp.mean((mean(m) - mu) ** 2)


def covariance_distance(m: Moments, target: Moments) -> Float[Array, ""]:
    """The mean squared difference of the covariances plus that of the means.

    What the Gram matrix Ĝ = Σ + μ μᵀ has in one is compared in two parts, so that a shift of all activations cannot be
    made up for by their spread. The two have different units (activation⁴ and ², as written).

    Example:
        >>> one = Moments(jnp.array(2.0), jnp.array([4.0]), jnp.array([[10.0]]))
        >>> two = Moments(jnp.array(1.0), jnp.array([1.0]), jnp.array([[1.0]]))
        >>> float(covariance_distance(one, two))  # (1 - 0)² + (2 - 1)²
        2.0
    """
    return jnp.mean((covariance(m) - covariance(target)) ** 2) + _mean_distance(m, mean(target))


def _deviation(m: Moments) -> Float[Array, " c"]:
    variance = jnp.diagonal(m.product) / m.positions - mean(m) ** 2
    return jnp.sqrt(jnp.maximum(variance, 0) + EPSILON)


def mean_std_distance(m: Moments, target: Moments) -> Float[Array, ""]:
    """1/C Σ_i (μ_i − μs_i)² + (σ_i − σs_i)², with σ² the variance of a channel plus ε = `wasserstein.EPSILON`.

    The distance of Li et al. (2017, eq. 11). Huang and Belongie (2017, eq. 13) take the norms where there are their squares
    here. It is the Wasserstein-2 distance of Gaussians whose channels are independent, hence never above `wasserstein`.

    References:
        Li, Wang, Liu and Hou, Demystifying Neural Style Transfer, 2017, arXiv:1701.01036.
        Huang and Belongie, Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization, 2017, arXiv:1703.06868.
    """
    return _mean_distance(m, mean(target)) + jnp.mean((_deviation(m) - _deviation(target)) ** 2)


class Gaussian(NamedTuple):
    """The Gaussian of the style's features: its mean and the root of its covariance, computed once."""

    mean: Float[Array, " c"]
    root: Root


def wasserstein_distance(m: Moments, target: Gaussian) -> Float[Array, ""]:
    """The squared Wasserstein-2 distance of two Gaussians, divided by the number of channels C.

    1/C (Σ_i (μ_i − μs_i)² + tr (Σ + Σs − 2 (Σs^½ Σ Σs^½)^½)), each covariance with ε on its diagonal:
    the least mean squared change of the features that turns the one Gaussian into the other.

    Example:
        >>> narrow = Moments(jnp.array(2.0), jnp.array([2.0]), jnp.array([[4.0]]))  # 0 and 2
        >>> wide = Moments(jnp.array(2.0), jnp.array([0.0]), jnp.array([[18.0]]))  # -3 and 3
        >>> round(float(wasserstein_distance(narrow, blend_gaussians([wide], [1.0]))), 3)  # (1 - 0)² + (1 - 3)²
        5.0

    References:
        Vacher, Davila, Kohn and Coen-Cagli, Texture Interpolation for Probing Visual Perception, 2020, arXiv:2006.03698.
    """
    return _mean_distance(m, target.mean) + squared_bures(covariance(m), target.root) / m.sum.shape[0]


def blend_moments(styles: Sequence[Moments], shares: Sequence[Share], _epsilon: float = EPSILON) -> Moments:
    """The moments of a mixture: Σ_i share_i (1, μ_i, Ĝ_i), as if each style had its share of the positions.

    Example:
        >>> one = Moments(jnp.array(2.0), jnp.array([4.0]), jnp.array([[10.0]]))
        >>> two = Moments(jnp.array(1.0), jnp.array([1.0]), jnp.array([[1.0]]))
        >>> blend_moments([one, two], [0.5, 0.5]).product.tolist()  # (10 / 2 + 1 / 1) / 2
        [[3.0]]
    """
    means = [Moments(jnp.ones_like(m.positions), mean(m), gram_matrix(m)) for m in styles]
    return jax.tree.map(lambda *parts: sum(share * part for share, part in zip(shares, parts, strict=True)), *means)


def blend_gaussians(styles: Sequence[Moments], shares: Sequence[Share], epsilon: float = EPSILON) -> Gaussian:
    """The Gaussian whose mean squared distance from those of the styles, weighed by their shares, is the least.

    ε is added to the variances; what is below it does not count. See `wasserstein.EPSILON`.

    References:
        Xia, Ferradans, Peyré and Aujol, Synthesizing and Mixing Stationary Gaussian Texture Models, 2014.
    """
    mu = jnp.asarray(sum(share * mean(m) for share, m in zip(shares, styles, strict=True)))
    return Gaussian(mu, barycenter_root([covariance(m) for m in styles], shares, epsilon))


class StyleDistance(NamedTuple):
    """The parts of a style distance.

    Attributes:
        target_stats: (feature map, guide or None) of a style -> its statistics.
        barycenter: (statistics of each style, their shares, ε) -> the target of an image; `wasserstein` alone uses ε.
        stats: (feature map, guide or None, target) of an image -> its statistics.
        distance: (statistics, target) -> how far they are apart.
        additive: the statistics of the parts of an image's map add up to those of the whole.
        additive_styles: likewise of a style's map; otherwise it is put together first, also from tiles.
    """

    target_stats: Callable[[Any, Any], Any]
    barycenter: Callable[..., Any]
    stats: Callable[[Any, Any, Any], Any]
    distance: Callable[[Any, Any], Float[Array, ""]]
    additive: bool = True
    additive_styles: bool = True


def _moments(feature_map: Float[Array, "n h w c"], guide: Float[Array, "n h w"] | None, _: Any) -> Moments:
    return moments(feature_map, guide)


def _projections(feature_map: Float[Array, "n h w c"], guide: Float[Array, "n h w"] | None, target: Projections) -> Projections:
    return projections(feature_map, guide, target.directions)


# Name in the config -> distance.
STYLE_DISTANCES = {
    "gram": StyleDistance(moments, blend_moments, _moments, gram_distance),
    "covariance": StyleDistance(moments, blend_moments, _moments, covariance_distance),
    "mean_std": StyleDistance(moments, blend_moments, _moments, mean_std_distance),
    "wasserstein": StyleDistance(moments, blend_gaussians, _moments, wasserstein_distance),
    "sliced_wasserstein": StyleDistance(describe_projections, blend_projections, _projections, sliced_distance, False, False),
    "neighbors": StyleDistance(describe_bag, blend_bags, mismatch, neighbor_distance, additive_styles=False),
}


def register_style_distance(name: str, distance: Callable[[Moments, Moments], Float[Array, ""]]) -> None:
    """Makes `distance` available as `loss.style_distance=NAME`.

    Args:
        name: replaces what has this name already.
        distance: of the moments of an image's feature map and of the target: a scalar, differentiable by `jax.grad`.

    Example:
        >>> register_style_distance("mean", lambda m, target: jnp.mean((mean(m) - mean(target)) ** 2))
        >>> del STYLE_DISTANCES["mean"]
    """
    STYLE_DISTANCES[name] = StyleDistance(moments, blend_moments, _moments, distance)
