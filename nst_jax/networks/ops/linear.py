"""Linear functions that come with their transpose, for derivatives of every mode and order, and rematerialization by them.

`jax.custom_vjp` rules out forward mode, and `jax.custom_derivatives.linear_call` has neither a derivative by its residuals
nor a rule for `jax.vmap`. `linear_call` here is a primitive with all of these; `differentiable` builds on it, and `recomputed`
on that.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.custom_derivatives import SymbolicZero
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float

from nst_jax.types import Features, Params

_linear_call = Primitive("nst_jax_linear_call")
_linear_call.multiple_results = True


def linear_call(
    function: Callable[[Any, Any], Any], transpose: Callable[[Any, Any], Any], residuals: Any, linear: Any, *, like: Any
) -> Any:
    """`function(residuals, linear)`, linear in its second argument, transposed as `transpose(residuals, cotangent)`.

    Neither may close over traced arrays: they are traced when the program is lowered.

    Args:
        function: of two trees of arrays.
        transpose: of the residuals and a tree such as `function` returns; returns a tree such as `linear`.
        residuals: any tree.
        linear: any tree.
        like: arrays of the shapes and dtypes that `function` returns.

    Example:
        >>> times = lambda a, x: a * x
        >>> double = lambda x: linear_call(times, times, 2.0 * jnp.ones(()), x, like=x)
        >>> float(jax.grad(double)(3.0)), float(jax.jvp(double, (3.0,), (1.0,))[1])
        (2.0, 2.0)
    """
    leaves, tree = jax.tree.flatten(residuals)
    inputs, input_tree = jax.tree.flatten(linear)
    outputs, output_tree = jax.tree.flatten(like)
    split = len(leaves)  # `call` must not hold the arrays: JAX_CHECK_TRACER_LEAKS takes that for a leak

    def flat(function: Callable[[Any, Any], Any], tree_in: Any) -> Callable[..., list[Any]]:
        def call(*arrays: Any) -> list[Any]:
            return jax.tree.leaves(function(tree.unflatten(arrays[:split]), tree_in.unflatten(arrays[split:])))

        return call

    found = _bind(leaves, inputs, flat(function, input_tree), flat(transpose, output_tree), map(_aval, outputs))
    return output_tree.unflatten(found)


def _bind(residuals: Sequence[Any], linear: Sequence[Any], function: Any, transpose: Any, out: Any) -> list[Any]:
    arguments = (*residuals, *linear)
    return _linear_call.bind(*arguments, function=function, transpose=transpose, split=len(residuals), out=tuple(out))


def _aval(array: Any) -> Any:
    return ShapedArray(jnp.shape(array), jnp.result_type(array))


def _call(*arrays: Any, function: Callable[..., list[Any]], **_: Any) -> list[Any]:
    return function(*arrays)


def _jvp(primals: Sequence[Any], tangents: Sequence[Any], *, function: Any, transpose: Any, split: int, out: Any) -> Any:
    residuals, linear = primals[:split], primals[split:]
    parts = []
    if any(type(tangent) is not ad.Zero for tangent in tangents[split:]):
        parts.append(_bind(residuals, [ad.instantiate_zeros(t) for t in tangents[split:]], function, transpose, out))
    live = [i for i in range(split) if type(tangents[i]) is not ad.Zero]
    if live:
        some = lambda *active: function(*_merge(residuals, live, active), *linear)  # noqa: E731
        parts.append(jax.jvp(some, [residuals[i] for i in live], [tangents[i] for i in live])[1])
    total = parts[0] if len(parts) == 1 else list(map(jnp.add, *parts))
    return _bind(residuals, linear, function, transpose, out), total


def _merge(arrays: Sequence[Any], places: Sequence[int], others: Sequence[Any]) -> list[Any]:
    """`arrays` with `others` at `places`."""
    merged = list(arrays)
    for place, other in zip(places, others, strict=True):
        merged[place] = other
    return merged


def _transpose(cotangents: Sequence[Any], *arrays: Any, function: Any, transpose: Any, split: int, out: Any) -> list[Any]:
    residuals, inputs = arrays[:split], [array.aval for array in arrays[split:]]
    cotangents = [ad.instantiate_zeros(cotangent) for cotangent in cotangents]
    return [None] * split + _bind(residuals, cotangents, transpose, function, map(_aval, inputs))


def _batch(arrays: Sequence[Any], dims: Sequence[Any], *, function: Any, transpose: Any, split: int, out: Any) -> Any:
    mapped = [dim is not None for dim in dims]
    size = next(array.shape[dim] for array, dim, is_mapped in zip(arrays, dims, mapped, strict=True) if is_mapped)
    arrays = [jnp.moveaxis(array, dim, 0) if m else array for array, dim, m in zip(arrays, dims, mapped, strict=True)]
    linear = [
        a if m else jnp.broadcast_to(a, (size, *jnp.shape(a))) for a, m in zip(arrays[split:], mapped[split:], strict=True)
    ]
    axes = [0 if m else None for m in mapped[:split]]
    forward = jax.vmap(function, (*axes, *(0 for _ in linear)))
    backward = jax.vmap(transpose, (*axes, *(0 for _ in out)))
    shapes = [ShapedArray((size, *aval.shape), aval.dtype) for aval in out]
    return _bind(arrays[:split], linear, forward, backward, shapes), [0] * len(out)


_linear_call.def_impl(_call)
_linear_call.def_abstract_eval(lambda *_, out, **__: list(out))
ad.primitive_jvps[_linear_call] = _jvp
ad.primitive_transposes[_linear_call] = _transpose
batching.primitive_batchers[_linear_call] = _batch
mlir.register_lowering(_linear_call, mlir.lower_fun(_call, multiple_results=True))

Pull = Callable[[list[int], tuple[Any, ...], Any], list[Any]]


def differentiable(function: Callable[..., Any], pull: Pull) -> Callable[..., Any]:
    """`function` of trees of arrays, with `pull` for its gradient.

    Args:
        function: may close over static values only.
        pull: of the numbers of the leaves asked for, the arguments, and a cotangent such as `function` returns: the
            cotangents of these leaves.
    """
    wrapped = jax.custom_jvp(function)

    def rule(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
        leaves = jax.tree.leaves(tangents, is_leaf=lambda leaf: isinstance(leaf, SymbolicZero))
        live = [i for i, leaf in enumerate(leaves) if not isinstance(leaf, SymbolicZero)]

        def push(arguments: tuple[Any, ...], some: list[Any]) -> Any:
            call, active = of_leaves(function, arguments, live)
            return jax.jvp(call, active, some)[1]

        out = wrapped(*primals)
        tangent = linear_call(
            push, lambda arguments, given: pull(live, arguments, given), primals, [leaves[i] for i in live], like=out
        )
        return out, tangent

    wrapped.defjvp(rule, symbolic_zeros=True)
    return wrapped


def of_leaves(
    function: Callable[..., Any], arguments: tuple[Any, ...], live: list[int]
) -> tuple[Callable[..., Any], list[Any]]:
    """`function` as one of some leaves of its arguments, and these leaves."""
    leaves, tree = jax.tree.flatten(arguments)
    return lambda *some: function(*tree.unflatten(_merge(leaves, live, some))), [leaves[i] for i in live]


def recomputed(run: Callable[[Params, Array], Features], params: Params, x: Float[Array, "n h w c"]) -> Features:
    """Computes `run(params, x)`; the gradient recomputes it instead of keeping its intermediate results.

    `jax.checkpoint` saves no memory on CPUs: XLA:CPU drops the barrier that keeps the second computation apart from the first,
    and merges the two. Here the input of the second depends on the incoming gradient, so it can neither be merged with the
    first nor start before the gradient is there.

    Args:
        run: a part of a network; the last of its maps is the input of the next part.
        params: of the network.
        x: the input of the part.

    Example:
        >>> import jax.numpy as jnp
        >>> square = lambda params, x: {"relu1": params["a"] * x**2}
        >>> float(jax.grad(lambda x: recomputed(square, {"a": 3.0}, x)["relu1"].sum())(jnp.ones((1, 1, 1, 1))).sum())
        6.0

    References:
        Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016, arXiv:1604.06174.
    """

    def pull(live: list[int], arguments: tuple[Params, Array], gradients: Features) -> list[Any]:
        arrived = sum(gradient[0, 0, 0, 0] for gradient in gradients.values())
        params, x = arguments
        # Still x, which XLA cannot know: 0 * inf is not 0.
        call, active = of_leaves(run, (params, x + 0 * arrived), live)
        return list(jax.vjp(call, *active)[1](gradients))

    return differentiable(run, pull)(params, x)
