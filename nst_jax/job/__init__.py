"""A job: pictures and a description in, one picture out, from coarse to fine."""

from nst_jax.job.history import Observer, Outcome, Position, Report
from nst_jax.job.loop import needs, state_shapes, steps_of, transfer
from nst_jax.job.pyramid import Stage, check_pictures, plan
from nst_jax.job.spec import INITS, Inputs, JobSpec, Pixels, Scale

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
