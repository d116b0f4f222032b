"""A job: pictures and a description in, one picture out, from coarse to fine."""

from nst_jax.job.history import Callback, JobState, Result, StepInfo
from nst_jax.job.loop import job_steps, needs, state_shapes, transfer
from nst_jax.job.pyramid import Stage, check_pictures, check_size, plan
from nst_jax.job.spec import INITS, Inputs, JobSpec, Pixels, Scale

__all__ = [
    "INITS",
    "Callback",
    "Inputs",
    "JobSpec",
    "JobState",
    "Pixels",
    "Result",
    "Scale",
    "Stage",
    "StepInfo",
    "check_pictures",
    "check_size",
    "job_steps",
    "needs",
    "plan",
    "state_shapes",
    "transfer",
]
