"""A job: pictures and a description in, one picture out, from coarse to fine."""

from nst_jax.job.history import Callback, JobState, Result, StepInfo
from nst_jax.job.loop import compile_ahead, compile_key, job_steps, run_jobs, state_shapes, transfer
from nst_jax.job.pyramid import Stage, check_pictures, check_size, make_stages
from nst_jax.job.spec import INITS, Inputs, JobSpec, Scale

__all__ = [
    "INITS",
    "Callback",
    "Inputs",
    "JobSpec",
    "JobState",
    "Result",
    "Scale",
    "Stage",
    "StepInfo",
    "check_pictures",
    "check_size",
    "compile_ahead",
    "compile_key",
    "job_steps",
    "make_stages",
    "run_jobs",
    "state_shapes",
    "transfer",
]
