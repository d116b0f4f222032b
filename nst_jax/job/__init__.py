"""A job: pictures and a description in, one picture out, from coarse to fine."""

from nst_jax.job.course import Observer, Outcome, Position, Report
from nst_jax.job.description import INITS, Inputs, JobSpec, Pixels, Scale
from nst_jax.job.procedure import needs, state_shapes, steps_of, transfer
from nst_jax.job.stages import Stage, check_pictures, plan

__all__ = [
    "INITS",
    "Inputs",
    "JobSpec",
    "Observer",
    "Outcome",
    "Pixels",
    "Position",
    "Report",
    "Scale",
    "Stage",
    "check_pictures",
    "needs",
    "plan",
    "state_shapes",
    "steps_of",
    "transfer",
]
