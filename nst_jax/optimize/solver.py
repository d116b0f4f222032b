"""Which optax transformation optimizes the image, by name and arguments."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from nst_jax.errors import InputError
from nst_jax.optimize.adam import adam
from nst_jax.optimize.guard import guarded
from nst_jax.optimize.lbfgs import lbfgs
from nst_jax.optimize.momentum import momentum

# Name in the config -> factory.
SOLVERS: dict[str, Callable[..., optax.GradientTransformationExtraArgs]] = {"adam": adam, "lbfgs": lbfgs, "momentum": momentum}
# Their images may leave [0, 1] on the way; those of all others are clipped after each step.
UNBOUNDED = ("lbfgs", "momentum")


@dataclass(frozen=True)
class SolverSpec:
    """Which solver, hashable: compiled programs are cached by it. `solver_spec` makes one.

    Attributes:
        name: a key of `SOLVERS`, "optax.NAME" for a factory of optax, or a transformation, whose identity counts.
        options: keyword arguments of the factory, sorted by name.
        averaging: decay rate of the exponential average of the images that the result is; 0 is the last one alone.
    """

    name: str | optax.GradientTransformation = "lbfgs"
    options: tuple[tuple[str, Any], ...] = ()
    averaging: float = 0.0

    def make(self) -> optax.GradientTransformationExtraArgs:
        """See `make_solver`."""
        return make_solver(self.name, dict(self.options))


def solver_spec(name: str | optax.GradientTransformation = "lbfgs", *, averaging: float = 0.0, **options: Any) -> SolverSpec:
    """A `SolverSpec` by keyword arguments; raises InputError where `make_solver` does."""
    make_solver(name, options)
    hashable = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    return SolverSpec(name, tuple(sorted(hashable.items())), averaging)


def make_solver(
    name: str | optax.GradientTransformation, options: Mapping[str, Any] | None = None
) -> optax.GradientTransformationExtraArgs:
    """The transformation of a name; one that does not say which trials it accepts is guarded, see `nst_jax.optimize.guard`.

    Args:
        name: a key of `SOLVERS`, "optax.NAME", or any optax transformation.
        options: keyword arguments of the factory.

    Raises:
        InputError: no such solver, or not with these arguments.
    """
    if not isinstance(name, str):
        return _accepting(name)
    factory = getattr(optax, name[6:], None) if name.startswith("optax.") else SOLVERS.get(name)
    if not callable(factory):
        raise InputError(f"optimizer.name must be one of {', '.join(SOLVERS)}, or optax.NAME, got {name!r}")
    try:
        made = factory(**(options or {}))
    except Exception as error:
        reason = " ".join(str(error).split())
        raise InputError(f"optimizer must have arguments that {name} takes, got {dict(options or {})}: {reason}") from error
    if not isinstance(made, optax.GradientTransformation):
        raise InputError(f"optimizer.name must be an optimizer of optax, got {name!r}; for example optax.adamw")
    return _accepting(made)


def _accepting(solver: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """The solver, guarded unless its state has `accepted`."""
    state = jax.eval_shape(solver.init, jax.ShapeDtypeStruct((1, 1, 1, 3), jnp.float32))
    known = optax.tree_utils.tree_get(state, "accepted", None) is not None
    return optax.with_extra_args_support(solver) if known else guarded(solver)
