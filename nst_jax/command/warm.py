"""`nst-jax warm`: compile programs ahead, so that a first run starts as quickly as a second one."""

from collections.abc import Sequence
from time import perf_counter

import numpy as np

from nst_jax import job
from nst_jax.config.command_line import parse_command_line
from nst_jax.config.compose import from_overrides
from nst_jax.config.schema import Config
from nst_jax.distributed import translate_device_errors
from nst_jax.images.files import fit_long_side
from nst_jax.runner.prepare import prepare
from nst_jax.system.cli import Parser, run_cli
from nst_jax.system.compilation_cache import use_compilation_cache

# Width and height of most photographs.
ASPECTS = ((4, 3), (3, 4), (3, 2), (2, 3), (16, 9), (9, 16), (1, 1))
_ABOUT = """Compile programs ahead, so that a first run of these settings starts as quickly as a second one: for photographs of
the usual shapes (4:3, 3:2, 16:9, across and upright; 1:1) or, with content=NAME or content.path=FILE, for that one alone."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: prints the shapes that are ready; returns the exit code."""
    parser = Parser(prog="nst-jax warm", description=_ABOUT)
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="as those of nst-jax run: size, loss, network, ...")
    settings = parser.parse_args(arguments).settings
    return run_cli(lambda: _warm(settings))


def _warm(settings: Sequence[str]) -> int:
    use_compilation_cache()
    config = from_overrides(parse_command_line(settings, Config).hydra)
    with translate_device_errors():
        prepared = prepare(config)
        size, inputs = prepared.spec.scales[-1].size, prepared.inputs
        own = config.mask.regions or any(word.startswith(("content=", "content.")) for word in settings)
        for height, width in [inputs.content.shape[1:3]] if own else [aspect[::-1] for aspect in ASPECTS]:
            shape = fit_long_side(height, width, size)
            content = inputs.content if own else np.zeros((1, *shape, 3), np.float32)
            began = perf_counter()
            job.compile_ahead(prepared.params, inputs._replace(content=content), prepared.spec)
            print(f"{shape[1]}x{shape[0]}: {perf_counter() - began:.1f} s", flush=True)
    return 0
