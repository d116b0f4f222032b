"""Strict arrays for every test: no silent rank or dtype promotion, seeds explicit, x64 only through `jax.enable_x64`."""

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_enable_compilation_cache", False)  # every run of the tests compiles for itself
