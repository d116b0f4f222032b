"""Neural style transfer (Gatys, Ecker & Bethge) in JAX.

From Python: `nst_jax.transfer` runs a whole job, `nst_jax.make_loss` gives the loss as a pure function of the image,
`nst_jax.networks.load` a network's feature maps. From a shell: `nst-jax --help`.

Importing the package imports neither JAX nor anything else that is large: each attribute is loaded when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from nst_jax.errors import InputError
from nst_jax.system import IMPORTED_AT  # noqa: F401 (notes the time)

if TYPE_CHECKING:
    from nst_jax import networks, objective, optimize
    from nst_jax.api import Loss, StyledImage, make_loss, transfer
    from nst_jax.job import StepInfo

    __version__: str

_MODULES = ("networks", "objective", "optimize")
_ATTRIBUTES = dict.fromkeys(("Loss", "StyledImage", "make_loss", "transfer"), "nst_jax.api") | {"StepInfo": "nst_jax.job"}
__all__ = [
    "InputError",
    "Loss",
    "StepInfo",
    "StyledImage",
    "__version__",
    "make_loss",
    "networks",
    "objective",
    "optimize",
    "transfer",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"nst_jax.{name}")
    if name in _ATTRIBUTES:
        return getattr(importlib.import_module(_ATTRIBUTES[name]), name)
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("nst-jax")
    raise AttributeError(f"module 'nst_jax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
