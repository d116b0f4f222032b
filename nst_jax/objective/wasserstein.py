"""The Wasserstein-2 distance of Gaussians: the part of their covariances (Bures' distance), value and gradient in closed form.

With R = Σs^½ of the fixed target, tr (R Σ R)^½ is the sum of the roots of the eigenvalues of R Σ R, and its gradient with
respect to Σ is ½ R (R Σ R)^-½ R: one symmetric eigenproblem and a few products serve both. They are computed in float64
whatever the setting of JAX, since the eigenvalues of R Σ R have twice the decades of those of Σ: of feature maps, 8 to 14 of
them. In float32 the gradient is wrong by percents, and near the target, where the distance is a small difference of large
traces, the value too.
"""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

from nst_jax.networks.ops.linear import linear_call

# Added to the diagonal of every covariance. A flat picture, or fewer positions than channels, has covariances of deficient
# rank, where the distance has no gradient. Feature maps of the normalized networks have variances of about 0.1 to 10.
EPSILON = 1e-4
# No eigenvalue of Σ + εI counts as less than this part of ε: below ε there is only rounding of the sums, maybe negative.
_FLOOR = 0.1


class Root(NamedTuple):
    """The symmetric root of Σ + εI as the sum of two arrays, which in float32 keep what a single one would round; and ε."""

    high: Float[Array, "c c"]
    low: Float[Array, "c c"]
    epsilon: Float[Array, ""]


def _two_by_two(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` with a rule for `jax.vmap`: two at a time, since LAPACK leaves one core of two idle.

    A batching rule of JAX's own would make float32 of what is float64 inside.
    """
    mapped = jax.custom_batching.custom_vmap(function)

    @mapped.def_vmap
    def _rule(size: int, batched: Any, *arguments: Any) -> tuple[Any, Any]:
        fill = lambda leaf, several: leaf if several else jnp.broadcast_to(leaf, (size, *leaf.shape))  # noqa: E731
        arguments = jax.tree.map(fill, arguments, tuple(batched))
        if size > 2:
            results = jax.lax.map(lambda some: mapped(*some), arguments, batch_size=2)
        else:
            each = [function(*jax.tree.map(operator.itemgetter(i), arguments)) for i in range(size)]
            results = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
        return results, jax.tree.map(lambda _: True, results)

    return mapped


def covariance_root(covariance: Float[Array, "c c"], epsilon: float = EPSILON) -> Root:
    """(Σ + εI)^½; eigenvalues that rounding has brought below ε/10 count as ε/10.

    Example:
        >>> float(covariance_root(jnp.array([[9.0 - EPSILON]])).high[0, 0])
        3.0
    """
    return _covariance_root(covariance, jnp.asarray(epsilon, covariance.dtype))


@jax.custom_jvp
def _covariance_root(covariance: Float[Array, "c c"], epsilon: Float[Array, ""]) -> Root:
    return _root_in_float64(covariance, epsilon)


@_two_by_two
def _root_in_float64(covariance: Float[Array, "c c"], epsilon: Float[Array, ""]) -> Root:
    with jax.enable_x64(True):
        vectors, roots = _eigenroots(covariance, epsilon)
        return _in_two((vectors * roots[None]) @ vectors.T, epsilon)


def _eigenroots(covariance: Float[Array, "c c"], epsilon: Float[Array, ""]) -> tuple[Float[Array, "c c"], Float[Array, " c"]]:
    """The eigenvectors of Σ + εI, and the roots of its eigenvalues."""
    wide = epsilon.astype(jnp.float64)
    values, vectors = jnp.linalg.eigh(covariance.astype(jnp.float64))
    return vectors, jnp.sqrt(jnp.maximum(values + wide, _FLOOR * wide))


@_covariance_root.defjvp
def _covariance_root_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Root, Root]:
    root = _covariance_root(*primals)
    change = linear_call(_lyapunov, _lyapunov, primals, tangents[0], like=root.high)
    return root, Root(change, jnp.zeros_like(change), tangents[1])


@jax.custom_jvp
def _lyapunov(at: tuple[Array, Array], move: Float[Array, "c c"]) -> Float[Array, "c c"]:
    """X with R X + X R = `move`: how the root R changes with the covariance; its own transpose."""
    return _lyapunov_in_float64(at, move)


@_two_by_two
def _lyapunov_in_float64(at: tuple[Array, Array], move: Float[Array, "c c"]) -> Float[Array, "c c"]:
    with jax.enable_x64(True):
        vectors, roots = _eigenroots(*at)
        inner = vectors.T @ move.astype(jnp.float64) @ vectors
        return (vectors @ (inner / (roots[:, None] + roots[None])) @ vectors.T).astype(move.dtype)


def _in_two(root: Float[Array, "c c"], epsilon: Float[Array, ""]) -> Root:
    high = root.astype(epsilon.dtype)
    return Root(high, (root - high.astype(jnp.float64)).astype(epsilon.dtype), epsilon)


# The fixed point of `barycenter_root` is reached when its trace changes by less than this share, or after so many rounds.
_TOLERANCE, _ROUNDS = 1e-8, 30


def barycenter_root(
    covariances: Sequence[Float[Array, "c c"]], shares: Sequence[Float[Array, ""] | float], epsilon: float = EPSILON
) -> Root:
    """The root of the barycenter of Gaussians: S with the least Σ_i share_i d²(S, Σ_i + εI), d being Bures' distance.

    S = Σ_i share_i (S^½ Σ_i S^½)^½, found by iterating S ← S^-½ (Σ_i share_i (S^½ Σ_i S^½)^½)² S^-½ from
    (Σ_i share_i Σ_i^½)², which is the barycenter if the covariances commute.

    Args:
        covariances: one or more; of one the barycenter is that one.
        shares: not negative, 1 in all.
        epsilon: ε, above 0.

    Example:
        >>> one, nine = jnp.eye(1) - EPSILON, 9 * jnp.eye(1) - EPSILON
        >>> round(float(barycenter_root([one, nine], [0.5, 0.5]).high[0, 0]), 6)  # the mean of 1 and 3
        2.0

    References:
        Agueh and Carlier, Barycenters in the Wasserstein space, 2011.
        Álvarez-Esteban, del Barrio, Cuesta-Albertos and Matrán, A fixed-point approach to barycenters in Wasserstein space,
        2016, arXiv:1511.05355.
    """
    if len(covariances) == 1:
        return covariance_root(covariances[0], epsilon)
    dtype = covariances[0].dtype
    weights = jnp.stack([jnp.asarray(share, dtype) for share in shares])
    return _barycenter(jnp.stack(covariances), weights, jnp.asarray(epsilon, dtype))


@jax.custom_jvp
def _barycenter(covariances: Float[Array, "n c c"], shares: Float[Array, " n"], epsilon: Float[Array, ""]) -> Root:
    return _barycenter_in_float64(covariances, shares, epsilon)


@_two_by_two
def _barycenter_in_float64(covariances: Float[Array, "n c c"], shares: Float[Array, " n"], epsilon: Float[Array, ""]) -> Root:
    with jax.enable_x64(True):
        identity = jnp.eye(covariances.shape[1], dtype=jnp.float64)
        padded = covariances.astype(jnp.float64) + epsilon.astype(jnp.float64) * identity[None]
        return _in_two(_fixed_point(padded, shares.astype(jnp.float64), epsilon.astype(jnp.float64)), epsilon)


def _fixed_point(padded: Float[Array, "n c c"], weights: Float[Array, " n"], epsilon: Float[Array, ""]) -> Float[Array, "c c"]:
    def mean_root(left: Float[Array, "c c"]) -> Float[Array, "c c"]:
        """Σ_i share_i (L Σ_i L)^½."""
        return jnp.asarray(sum(w * _roots(left @ c @ left, epsilon)[0] for w, c in zip(weights, padded, strict=True)))

    def improve(carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        root, inverse, _, rounds = carry
        half = inverse @ mean_root(root)
        new, inverse = _roots(half @ half.T, epsilon)
        return new, inverse, jnp.abs(jnp.sum(new**2) / jnp.sum(root**2) - 1), rounds + 1

    start = mean_root(jnp.eye(padded.shape[1], dtype=padded.dtype))
    carry = (*_roots(start @ start, epsilon), jnp.ones((), padded.dtype), jnp.zeros((), jnp.int32))
    return jax.lax.while_loop(lambda c: (c[2] > _TOLERANCE) & (c[3] < _ROUNDS), improve, carry)[0]


def _roots(matrix: Float[Array, "c c"], epsilon: Float[Array, ""]) -> tuple[Float[Array, "c c"], Float[Array, "c c"]]:
    """M^½ and M^-½ of a symmetric matrix without negative eigenvalues; below (`_FLOOR` ε)² there is only rounding."""
    values, vectors = jnp.linalg.eigh(matrix)
    roots = jnp.sqrt(jnp.maximum(values, (_FLOOR * epsilon) ** 2))[None]
    return (vectors * roots) @ vectors.T, (vectors / roots) @ vectors.T


class _Bures(NamedTuple):
    """The squared Bures distance, and its gradients by Σ and by the target's root R."""

    distance: Float[Array, ""]
    by_covariance: Float[Array, "c c"]
    by_root: Float[Array, "c c"]


@jax.custom_jvp
def _bures(covariance: Float[Array, "c c"], target: Root) -> _Bures:
    return _bures_in_float64(covariance, target)


@_two_by_two
def _bures_in_float64(covariance: Float[Array, "c c"], target: Root) -> _Bures:
    with jax.enable_x64(True):
        padded, root, vectors, singular = _decompose(covariance, target)
        distance = jnp.trace(padded) + jnp.sum(root**2) - 2 * jnp.sum(singular)
        half = root @ (vectors / jnp.sqrt(singular)[None])
        # Of near equal terms where the picture fits: in float32 wrong by 4e-3 there.
        slope = jnp.eye(root.shape[0], dtype=root.dtype) - half @ half.T
        by_root = 2 * root - _twice((vectors / singular[None]) @ vectors.T @ root @ padded)
        return jax.tree.map(lambda a: a.astype(covariance.dtype), _Bures(jnp.maximum(distance, 0), slope, by_root))


def _decompose(covariance: Float[Array, "c c"], target: Root) -> tuple[Array, Array, Array, Array]:
    """P = Σ + εI, R, and the eigenvectors of R P R with the roots of its eigenvalues, in float64."""
    root = target.high.astype(jnp.float64) + target.low.astype(jnp.float64)
    epsilon = target.epsilon.astype(jnp.float64)
    padded = covariance.astype(jnp.float64) + epsilon * jnp.eye(root.shape[0], dtype=jnp.float64)
    values, vectors = jnp.linalg.eigh(root @ padded @ root)
    return padded, root, vectors, jnp.sqrt(jnp.maximum(values, (_FLOOR * epsilon) ** 2))


def _twice(matrix: Float[Array, "c c"]) -> Float[Array, "c c"]:
    """Twice the symmetric part."""
    return matrix + matrix.T


@functools.partial(_bures.defjvp, symbolic_zeros=True)
def _bures_jvp(primals: tuple[Array, Root], tangents: tuple[Any, Root]) -> tuple[_Bures, _Bures]:
    found = _bures(*primals)
    slopes = (found.by_covariance, found.by_root)
    parts = zip(primals[:1] * 2, _moves(tangents), strict=True)
    moves = tuple(sum(part[1:], part[0]) if part else jnp.zeros_like(like) for like, part in parts)
    return found, _Bures(_change(found, tangents), *linear_call(_curvature, _curvature, primals, moves, like=slopes))


def _moves(tangents: tuple[Any, Root]) -> list[list[Array]]:
    """The cotangents of Σ and of R."""
    return [[t for t in part if not isinstance(t, SymbolicZero)] for part in (tangents[:1], tangents[1][:2])]


def _change(found: _Bures, tangents: tuple[Any, Root]) -> Array:
    slopes = zip(found[1:], _moves(tangents), strict=True)
    return jnp.asarray(sum(jnp.sum(slope * move) for slope, moves in slopes for move in moves), found.distance.dtype)


@jax.custom_jvp
def _curvature(at: tuple[Array, Root], moves: tuple[Array, Array]) -> tuple[Array, Array]:
    """The derivative of the gradients by Σ and R, which is its own transpose."""
    return _curvature_in_float64(at, moves)


@_two_by_two
def _curvature_in_float64(at: tuple[Array, Root], moves: tuple[Array, Array]) -> tuple[Array, Array]:
    with jax.enable_x64(True):
        padded, root, vectors, singular = _decompose(*at)
        move, turn = (_twice(m.astype(jnp.float64)) / 2 for m in moves)
        inverse = (vectors / singular[None]) @ vectors.T
        inner = vectors.T @ (root @ move @ root + _twice(turn @ padded @ root)) @ vectors
        products = singular[:, None] * singular[None]
        change = -vectors @ (inner / (products * (singular[:, None] + singular[None]))) @ vectors.T  # of M^-½: Daleckii, Krein
        by_covariance = -(_twice(turn @ inverse @ root) + root @ change @ root)
        by_root = 2 * turn - _twice(change @ root @ padded + inverse @ turn @ padded + inverse @ root @ move)
        return by_covariance.astype(at[0].dtype), by_root.astype(at[0].dtype)


@jax.custom_jvp
def squared_bures(covariance: Float[Array, "c c"], target: Root) -> Float[Array, ""]:
    """The squared Bures distance tr (Σ + Σs − 2 (Σs^½ Σ Σs^½)^½), the target's ε on the diagonal of both.

    Differentiable twice.

    Args:
        covariance: Σ, symmetric; without ε.
        target: from `covariance_root` of Σs.

    Example:
        >>> one, four = jnp.eye(1) - EPSILON, 4 * jnp.eye(1) - EPSILON  # (1 - 2)²
        >>> round(float(squared_bures(one, covariance_root(four))), 6)
        1.0

    References:
        Dowson and Landau, The Fréchet distance between multivariate normal distributions, 1982.
        Bhatia, Jain and Lim, On the Bures-Wasserstein distance between positive definite matrices, 2019, arXiv:1712.01504.
    """
    return _bures(covariance, target).distance


@functools.partial(squared_bures.defjvp, symbolic_zeros=True)
def _squared_bures_jvp(primals: tuple[Array, Root], tangents: tuple[Any, Root]) -> tuple[Array, Array]:
    found = _bures(*primals)
    return found.distance, _change(found, tangents)


def _refuse(what: str) -> Callable[..., Any]:
    def rule(*_: Any) -> Any:
        raise NotImplementedError(f"{what} of style_distance=wasserstein is not implemented; use sliced_wasserstein or gram")

    return rule


_curvature.defjvp(_refuse("the third derivative"))
_lyapunov.defjvp(_refuse("the second derivative by a style"))
_barycenter.defjvp(_refuse("the derivative by one of several styles, or by its share,"))
