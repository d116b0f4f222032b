"""Neural style transfer (Gatys, Ecker and Bethge) as pure functions in JAX.

Use from Python: `nst_jax.networks.load` for features, `nst_jax.transfer` for whole jobs on arrays.
Use from a shell: `python -m nst_jax.run --help`.
"""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from nst_jax import networks

__all__ = ["InputError", "networks", "transfer"]

from nst_jax.errors import InputError

# Read by JAX when it is first imported. XLA:CPU takes two tuning hints of its own ("prefer-no-gather", "-scatter") for missing
# instructions of the processor and says so at length for each program loaded from the cache. The cache's folder guards against
# another processor (nst_jax.system.compilation_cache).
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Read by OpenBLAS, which solves the eigenproblems of the Wasserstein distance. Its threads wait for each other in busy loops:
# where anything else runs on the processor, a matrix of 512 takes 30 ms with one thread and up to 3 s with two.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def transfer(
    content: "np.ndarray",
    style: "np.ndarray | Sequence[np.ndarray]",
    /,
    *,
    init: "np.ndarray | str" = "content",
    masks: "Sequence[np.ndarray | None]" = (),
    style_masks: "Sequence[np.ndarray | None]" = (),
    **options: Any,
) -> tuple["np.ndarray", dict[str, Any]]:
    """The content picture painted in the style of another, or of several.

    Args:
        content: [h, w, 3] or [1, h, w, 3], sRGB, uint8 in 0..255 or floating point in [0, 1].
        style: likewise, or a list of such; sizes may differ.
        init: "content", "style", "noise", or a picture to start from.
        masks: the regions of the content, [h, w] each, 1 or 255 inside; None is what the others leave. Each has the style of
            its number, the only style, or what `style={"blend": ...}` says.
        style_masks: for each style, which part of it counts, or None for all of it.
        options: what the config has, nested alike: `size=256, steps=40, loss={"style_weight": 10}`.

    Returns:
        The picture, float32 [h, w, 3] in [0, 1], and its record: "metrics" (a mapping for each step), "seconds" (by
        phase), "config" (as YAML), and "recoveries" (what was said of steps that had to be undone).

    Raises:
        InputError: a picture that is no picture, an unknown option, or a value out of range.

    Example:
        >>> import numpy as np
        >>> ramp = np.linspace(0, 1, 16 * 16 * 3, dtype=np.float32).reshape(16, 16, 3)
        >>> loss = {"content_layers": ["relu1_1"], "style_layers": ["relu1_1"]}
        >>> picture, record = transfer(ramp, ramp, size=16, steps=2, loss=loss)
        >>> picture.shape, len(record["metrics"])
        ((16, 16, 3), 2)
    """
    from nst_jax import api  # jax and Flax are loaded when they are needed

    return api.transfer(content, style, init=init, masks=masks, style_masks=style_masks, options=options)


def __getattr__(name: str) -> Any:
    if name == "networks":
        import importlib

        return importlib.import_module("nst_jax.networks")
    raise AttributeError(f"module 'nst_jax' has no attribute {name!r}")
