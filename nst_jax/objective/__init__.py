"""The loss of neural style transfer as a pure function: measure feature maps, score the statistics, weigh the terms."""

from nst_jax.objective.loss import LossWeights, Objective, ObjectiveSpec, Styles, Targets, Terms, loss, make_targets
from nst_jax.objective.statistics import Moments
from nst_jax.objective.style import STYLE_DISTANCES, StyleDistance, covariance, gram_matrix, mean, register_style_distance

__all__ = [
    "STYLE_DISTANCES",
    "LossWeights",
    "Moments",
    "Objective",
    "ObjectiveSpec",
    "StyleDistance",
    "Styles",
    "Targets",
    "Terms",
    "covariance",
    "gram_matrix",
    "loss",
    "make_targets",
    "mean",
    "register_style_distance",
]
