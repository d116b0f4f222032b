"""Adam with recovery, optionally on cosine transform coefficients."""

from typing import Any, cast

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from nst_jax.optimize.dct import dct, idct
from nst_jax.optimize.guard import GuardState, guarded
from nst_jax.types import Image


def adam(
    learning_rate: float = 0.02, *, b1: float = 0.9, b2: float = 0.99, dct_floor: float = 0.0, decay_steps: int = 0
) -> optax.GradientTransformationExtraArgs:
    """Adam (Kingma and Ba 2015), guarded: see `nst_jax.optimize.guard.guarded`.

    Args:
        learning_rate: size of a step, in units of the parameters.
        b1: decay rate of the first moment.
        b2: decay rate of the second moment.
        dct_floor: if above 0, the parameters are images and the steps are made on their stretched cosine coefficients, see
            `nst_jax.optimize.dct`.
        decay_steps: the rate falls to 0 over so many steps, as half a cosine; 0 keeps it constant.
    """
    scale = optax.scale_by_adam(b1=b1, b2=b2)
    decay = optax.cosine_decay_schedule(1.0, decay_steps) if decay_steps else optax.constant_schedule(1.0)

    def update(grads: Any, state: Any, params: Any = None, *, step: Int[Array, ""], **extra: Any) -> tuple[Any, Any]:
        del params, extra
        with jax.numpy_dtype_promotion("standard"):  # optax raises a float to the power of an integer
            scaled, state = scale.update(dct(grads, dct_floor) if dct_floor else grads, state)
            rate = learning_rate * decay(step)

        def move(waves: Array) -> Array:
            change = idct(waves, dct_floor) if dct_floor else waves
            return -jnp.asarray(rate, change.dtype) * change

        return jax.tree.map(move, scaled), state

    return guarded(optax.GradientTransformationExtraArgs(scale.init, update))  # pyright: ignore[reportArgumentType]


def upsample_adam(state: GuardState, image: Image, options: dict[str, Any]) -> GuardState:
    """State of `adam(**options)` that goes on from `image`, which has another size: the moments are resized.

    The loss is a mean over pixels, so that the gradient of each pixel is in inverse proportion to their number. Moments of
    cosine coefficients begin at zero: the coefficients of one size are not those of another.
    """
    fresh = cast(GuardState, adam(**options).init(image))
    if options.get("dct_floor"):
        return state._replace(inner=fresh.inner, good=image, value=fresh.value)
    moments, size = state.inner, (image.shape[1], image.shape[2])
    share = moments.mu.shape[1] * moments.mu.shape[2] / (size[0] * size[1])
    mu = share * resized(moments.mu, size, "cubic")
    nu = share**2 * jnp.maximum(resized(moments.nu, size, "linear"), 0)
    return state._replace(inner=moments._replace(mu=mu, nu=nu), good=image, value=fresh.value)


def resized(maps: Float[Array, "1 h w c"], height_width: tuple[int, int], method: str) -> Float[Array, "1 h2 w2 c"]:
    """Maps [1, h, w, c] at another size; `method` is one of `jax.image.ResizeMethod`: "lanczos3", "cubic", "linear"."""
    return jax.image.resize(maps, (1, *height_width, maps.shape[-1]), method)
