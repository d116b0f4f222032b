"""The loss of an inversion, a pure function of the image: how far its code is, and how unlike a natural picture it is."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp

from nst_jax.invert.neurons import Code, Neurons, select
from nst_jax.invert.representation import DESCRIPTORS, code, mean_color, smallest
from nst_jax.networks.convnet import NetworkSpec
from nst_jax.objective.loss import Terms
from nst_jax.objective.natural_image import alpha_norm, total_variation_power
from nst_jax.objective.statistics import squared_error
from nst_jax.partition import WHOLE, ExecutionPlan
from nst_jax.types import Image, Params, Scalar


class PriorWeights(NamedTuple):
    """The traced multipliers λ_α and λ_V."""

    alpha: Scalar
    tv: Scalar


@dataclass(frozen=True)
class InversionSpec:
    """The structure of the loss; changing any of it triggers recompilation. It is an `Objective`.

    Attributes:
        layer: what is inverted: a layer of the network, or a key of `representation.DESCRIPTORS`.
        network: which a descriptor has no use for.
        neurons: which of the code's neurons count.
        alpha: exponent of the α-norm.
        beta: exponent of TV^β.
    """

    layer: str
    network: NetworkSpec = NetworkSpec()  # noqa: RUF009
    neurons: Neurons = Neurons()  # noqa: RUF009
    alpha: float = 6.0
    beta: float = 2.0

    @property
    def taps(self) -> tuple[str, ...]:
        """The layer, if it is of the network."""
        return () if self.layer in DESCRIPTORS else (self.layer,)

    @property
    def terms(self) -> tuple[str, ...]:
        """See `loss`."""
        return ("content", "alpha_norm", "tv")

    @property
    def smallest(self) -> int:
        """See `representation.smallest`."""
        return smallest(self.layer, self.network.architecture)

    def targets(self, params: Params, *pictures: Any, plan: ExecutionPlan = WHOLE) -> Code:
        """Φ0: the code of the content picture, as far as it counts; there is no style."""
        return select(code(params, pictures[0], self.layer, network=self.network, remat=plan.remat), self.neurons)

    def loss(
        self, params: Params, image: Image, targets: Code, weights: PriorWeights, plan: ExecutionPlan = WHOLE
    ) -> tuple[Scalar, Terms]:
        """‖Φ(x) − Φ0‖² / ‖Φ0‖² + λ_α R_α(x/σ) + λ_V R_Vβ(x/σ) (Mahendran and Vedaldi 2015, sec. 2), and its terms by name.

        Args:
            params: of the network; {} for a descriptor.
            image: the picture being optimized; values outside of [0, 1] are allowed.
            targets: Φ0, from `targets`.
            weights: traced.
            plan: only `remat` has an effect: an inversion is of a whole picture, on one device.
        """
        energy = jnp.sum(targets**2)
        error = squared_error(self.targets(params, image, plan=plan), targets).sum
        content = error / jnp.maximum(energy, jnp.finfo(energy.dtype).tiny)
        alpha = weights.alpha * alpha_norm(image, mean_color(params), self.alpha)
        tv = weights.tv * total_variation_power(image, self.beta)
        return content + alpha + tv, {"content": content, "alpha_norm": alpha, "tv": tv}
