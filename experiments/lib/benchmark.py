"""`python -m experiments.lib.benchmark`: speed and memory beside PyTorch, in alternation on the same machine.

Prints a table and writes JSON (`--json FILE`) with the keys

    sizes.<px>.ratio_gradient  PyTorch's time over ours for one gradient of the Gatys loss; above 1 ours is faster
    sizes.<px>.ratio_step      the same for a step of the compiled loop (L-BFGS; PyTorch's time is still the bare gradient's)
    sizes.<px>.rel_error       of our gradient against PyTorch's, whole image
    cold_start_s, warm_start_s from the command to its first finished step, without and with the compilation cache
    peak_bytes_per_pixel       of a process that makes one of our gradients, at the largest size

Needs PyTorch: pip install -e ".[bench]".
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from nst_jax.system.cli import use_hugepages

if __name__ == "__main__":
    use_hugepages(sys.argv[0])

import jax
import jax.numpy as jnp
import numpy as np

import nst_jax.images
from nst_jax import networks
from nst_jax.images.files import read_image, resize
from nst_jax.networks.params.store import load_params
from nst_jax.objective.loss import LossWeights, ObjectiveSpec, Styles, loss, make_targets
from nst_jax.optimize.loop import init_state, run_chunk
from nst_jax.optimize.solver import SolverSpec
from nst_jax.system.memory import trim_heap

CONTENT, STYLE = ("relu4_2",), tuple(f"relu{i}_1" for i in range(1, 6))
# Floating-point operations per pixel of a forward pass to relu5_1 and its image gradient, by the direct convolution.
FLOP_PER_PIXEL = 1.44e6
CHUNK = 4
# Seconds before each measurement: the threads of whoever ran before, PyTorch's for 0.2 s, still turn while they wait for work.
# Then one call that does not count: memory that the one before has given back to the system is taken from it again.
REST = 0.5


def pictures(size: int) -> dict[str, np.ndarray]:
    """The bundled pictures as squares, and an image half way from noise to the content."""
    bundled = Path(nst_jax.images.__file__).parent / "bundled"
    content, style = (
        resize(read_image(bundled / name).pixels, (size, size)) for name in ("neckarfront_drawing.jpg", "starry_night.jpg")
    )
    noise = np.random.default_rng(0).random(content.shape, np.float32)
    return {"image": (content + noise) / 2, "content": content, "style": style}


def ours(size: int) -> dict[str, Callable[[], Any]]:
    """Our gradient and a chunk of steps of our loop, compiled, as functions of nothing."""
    network = networks.load("vgg19", taps=(*CONTENT, *STYLE))
    spec = ObjectiveSpec(network.spec, CONTENT, STYLE, convention="mean")
    made = {name: jnp.asarray(array) for name, array in pictures(size).items()}
    targets = jax.jit(make_targets, static_argnames=("spec",))(
        network.params, made["content"], Styles((made["style"],)), spec=spec
    )
    weights = LossWeights(
        {name: jnp.float32(1) for name in CONTENT}, {name: jnp.float32(1 / len(STYLE)) for name in STYLE}, jnp.float32(0)
    )
    evaluate = jax.jit(jax.grad(lambda x, p, t: loss(p, x, t, weights, spec=spec)[0]))
    gradient = evaluate.lower(made["image"], network.params, targets).compile()
    trim_heap()  # as a job does after compiling
    solver = SolverSpec()

    def chunk() -> None:
        state = init_state(made["image"], solver=solver, terms=spec.terms)
        out = run_chunk(network.params, state, targets, weights, jnp.int32(CHUNK), spec=spec, solver=solver, capacity=CHUNK)
        jax.block_until_ready(out)

    return {"gradient": lambda: np.asarray(gradient(made["image"], network.params, targets)), "chunk": chunk}


def theirs(size: int, compiled: bool, channels_last: bool) -> Callable[[], np.ndarray]:
    """PyTorch's gradient as a function of nothing."""
    import torch  # here, as its memory is not ours

    from experiments.lib import torch_twin

    torch.set_num_threads(os.cpu_count() or 1)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    twin = torch_twin.Twin(load_params("vgg19"), (*CONTENT, *STYLE))

    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.tensor(array.transpose(0, 3, 1, 2).copy()).to(memory_format=layout)

    for name, buffer in twin.named_buffers():
        if buffer.ndim == 4:
            twin.register_buffer(name, buffer.to(memory_format=layout))
    made = {name: tensor(array) for name, array in pictures(size).items()}
    with torch.no_grad():
        content = {name: twin(made["content"])[name] for name in CONTENT}
        style = {name: torch_twin.gram(found) for name, found in twin(made["style"]).items() if name in STYLE}
    image = made["image"].requires_grad_()

    def value(x: torch.Tensor) -> torch.Tensor:
        return torch_twin.loss(twin, x, content, style, 1.0, 1.0)

    function = torch.compile(value) if compiled else value

    def gradient() -> np.ndarray:
        (found,) = torch.autograd.grad(function(image), image)
        return found.numpy().transpose(0, 2, 3, 1)

    return gradient


def variants(quick: bool) -> dict[str, dict[str, bool]]:
    """The ways to run PyTorch of which the fastest counts."""
    found = {
        "eager": {"compiled": False, "channels_last": False},
        "eager, channels last": {"compiled": False, "channels_last": True},
    }
    if not quick:
        found |= {f"compiled{name[5:]}": options | {"compiled": True} for name, options in found.items()}
    return found


def measure(size: int, repeats: int, quick: bool) -> dict[str, Any]:
    """Times everything at one size in alternation; medians over `repeats` rounds."""
    began = time.perf_counter()
    runs: dict[str, Callable[[], Any]] = dict(ours(size))
    mine = runs["gradient"]()
    compile_s = time.perf_counter() - began
    runs["chunk"]()
    others = {name: theirs(size, **options) for name, options in variants(quick).items()}
    reference = next(iter(others.values()))()
    for function in others.values():
        function()
    seconds: dict[str, list[float]] = {name: [] for name in (*runs, *others)}
    for _ in range(repeats):
        for name, function in (runs | others).items():
            time.sleep(REST)
            function()
            start = time.perf_counter()
            function()
            seconds[name].append((time.perf_counter() - start) / (CHUNK if name == "chunk" else 1))
    middle = {name: median(times) for name, times in seconds.items()}
    best = min(others, key=lambda name: middle[name])
    return {
        "gradient_s": middle["gradient"],
        "step_s": middle["chunk"],
        "spread": {name: [min(times), max(times)] for name, times in seconds.items()},
        "torch_s": {name: middle[name] for name in others},
        "torch_best": best,
        "ratio_gradient": middle[best] / middle["gradient"],
        "ratio_step": middle[best] / middle["chunk"],
        "rel_error": float(np.linalg.norm(mine - reference) / np.linalg.norm(reference)),
        "compile_s": compile_s,
        "pixel_steps_per_s": size**2 / middle["chunk"],
        "effective_gflops": FLOP_PER_PIXEL * size**2 / middle["chunk"] / 1e9,
    }


def matmul_gflops() -> float:
    """What a large matrix product reaches here: the ceiling of everything else."""
    a = jnp.ones((2048, 2048))
    product = jax.jit(lambda x: x @ x)
    product(a).block_until_ready()
    times = []
    for _ in range(7):
        start = time.perf_counter()
        product(a).block_until_ready()
        times.append(time.perf_counter() - start)
    return 2 * 2048**3 / median(times) / 1e9


def peak_bytes(who: str, size: int) -> int:
    """The largest resident memory of a process that makes one gradient; PyTorch's without what importing JAX takes there."""
    call = {"ours": f"ours({size})['gradient']()", "torch": f"theirs({size}, False, True)()"}[who]
    script = f"""
import numpy
def kilobytes(field):
    return int([l for l in open('/proc/self/status') if l.startswith(field)][0].split()[1])
before = kilobytes('VmRSS')
from experiments.lib.benchmark import ours, theirs
imports = kilobytes('VmRSS') - before
{call}
print(kilobytes('VmHWM') - (imports if '{who}' == 'torch' else 0))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1]) * 1024


def start_seconds(cache: str) -> float:
    """From starting the main command until its first finished step, by the clock of its own record."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [sys.executable, "-m", "nst_jax.run", "scales=[256]", "steps=1", f"run.dir={run}", "run.quiet=true"]
        environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": cache, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2"}
        began = time.time()
        subprocess.run(command, check=True, env=environment, capture_output=True)
        return (run / "metrics.jsonl").stat().st_mtime - began


def main() -> None:
    """Measures, prints, and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="128,256,512,1024", help="sides in pixels, with commas")
    parser.add_argument("--repeats", type=int, default=7, help="rounds; the median counts")
    parser.add_argument("--quick", action="store_true", help="without torch.compile, three rounds, no memory and no start-up")
    parser.add_argument("--json", type=Path, help="file to write")
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    result: dict[str, Any] = {"matmul_gflops": matmul_gflops(), "torch": version("torch"), "jax": jax.__version__, "sizes": {}}
    print(f"matmul ceiling {result['matmul_gflops']:.0f} GFLOP/s\n")
    print("  px  gradient   in loop   PyTorch (best)                   ratio  in loop   error   GFLOP/s")
    for size in sizes:
        found = measure(size, 3 if options.quick else options.repeats, options.quick)
        result["sizes"][str(size)] = found
        best = f"{found['torch_s'][found['torch_best']]:7.3f} s ({found['torch_best']})"
        print(
            f"{size:4d} {found['gradient_s']:7.3f} s {found['step_s']:7.3f} s {best:32s} {found['ratio_gradient']:6.2f} "
            f"{found['ratio_step']:8.2f} {found['rel_error']:8.1e} {found['effective_gflops']:8.0f}",
            flush=True,
        )
    if not options.quick:
        with tempfile.TemporaryDirectory() as cache:
            result["cold_start_s"], result["warm_start_s"] = start_seconds(cache), start_seconds(cache)
        peaks = {who: {str(size): peak_bytes(who, size) for size in sizes} for who in ("ours", "torch")}
        result["peak_bytes"], largest = peaks, max(sizes)
        result["peak_bytes_per_pixel"] = peaks["ours"][str(largest)] / largest**2
        print(f"\nfirst step: cold {result['cold_start_s']:.1f} s, warm {result['warm_start_s']:.1f} s")
        for size in sizes:
            ours_mb, torch_mb = (peaks[who][str(size)] / 1e6 for who in ("ours", "torch"))
            print(f"peak memory at {size:4d} px: {ours_mb:6.0f} MB, PyTorch {torch_mb:6.0f} MB")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
