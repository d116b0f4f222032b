"""The operating system: files, caches, memory, the command line."""

import time
from pathlib import Path

# Sources changed after this are not those that run (`nst_jax.job.export_cache`); the package imports this first.
IMPORTED_AT = time.time()


_PACKAGE = Path(__file__).resolve().parents[1]


def data_folder(name: str) -> Path:
    """The folder `name` ("configs" or "weights"): beside the package in a checkout, inside it when installed from a wheel."""
    installed = _PACKAGE / "data" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name
