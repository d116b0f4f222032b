"""The operating system: files, caches, memory, the command line."""

import time

# Sources changed after this are not those that run (`nst_jax.job.export_cache`); the package imports this first.
IMPORTED_AT = time.time()
