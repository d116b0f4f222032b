"""Measurements of a GPU: correctness, reproducibility, speed, time and memory of pictures, and PyTorch beside it.

    python experiments/020-gpu/measure.py all --out FOLDER [--rehearse] [--parts correctness speed ...]
    python experiments/020-gpu/measure.py reference        # on a processor: writes cpu.json, which `correctness` compares with

Each part is a process of its own with a limit of seconds (`LIMITS`). It prints a line of JSON for each finding as it is made,
so that a part that is stopped keeps what it has found.
"""

import argparse
import functools
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from nst_jax.system.cli import use_hugepages

if __name__ == "__main__":
    use_hugepages(sys.argv[0])

import jax
import jax.numpy as jnp
import numpy as np

from experiments.lib.benchmark import FLOP_PER_PIXEL
from nst_jax import job, networks
from nst_jax.config.compose import make_config
from nst_jax.job.compile import compile_programs
from nst_jax.job.memory_plan import job_bytes
from nst_jax.job.pyramid import initial_image
from nst_jax.objective.wasserstein import covariance_root, squared_bures
from nst_jax.runner.kinds import prepare
from nst_jax.system.compilation_cache import use_compilation_cache

HERE = Path(__file__).parent
REFERENCE = HERE / "cpu.json"
# Seconds for each part: 8 minutes in all.
LIMITS = {"device": 20, "correctness": 90, "bytes": 75, "speed": 130, "pictures": 110, "torch": 50}
# Name in JAX of the card -> TFLOP/s of dense products in float32, tf32 and bfloat16, as the data sheets have them.
PEAKS = {
    "H200": (67, 494, 989),
    "H100": (67, 494, 989),
    "A100": (19.5, 156, 312),
    "L40S": (91.6, 183, 362),
    "L4": (30.3, 60, 121),
    "A10": (31.2, 62.5, 125),
    "RTX 4090": (82.6, 82.6, 165),
    "RTX 3090": (35.6, 35.6, 71),
    "T4": (8.1, 8.1, 8.1),
}
PRECISIONS = ("float32", "tf32", "bfloat16")
PICTURES = {"content": {"name": "astronaut"}, "style": {"name": "starry"}}
# The largest relative differences from the processor that count as rounding. With max pooling, two nearly equal values in a
# window may send the gradient elsewhere: see experiments/002-cpu-speed.
ROUNDING = {"features": 1e-4, "gradient": 1e-4, "gradient, max pooling": 1e-2, "loss": 1e-4, "tiles": 1e-4, "sweep": 2e-2}
STEPS = 4  # of a timed call

Findings = Iterator[dict[str, Any]]


class Built(NamedTuple):
    """A job of one scale: its first image, and the targets and weights of its loss."""

    prepared: Any
    stage: Any
    image: Any
    targets: Any
    weights: Any

    def loss(self, image: jax.Array) -> jax.Array:
        """The loss of an image."""
        spec = self.prepared.spec
        return spec.objective.loss(self.prepared.params, image, self.targets, self.weights, spec.plans[0])[0]

    def gradient(self, image: Any) -> jax.Array:
        """The gradient of the loss."""
        return jax.jit(jax.grad(self.loss))(image)


def build(size: int, **settings: Any) -> Built:
    """A job at one size on the bundled pictures, which are squares."""
    prepared = prepare(make_config({"size": size, "scales": 1, "steps": 8, **PICTURES, **settings}))
    spec, params = prepared.spec, prepared.params
    (stage,) = job.make_stages(prepared.inputs, spec)
    make = jax.jit(functools.partial(spec.objective.targets, plan=spec.plans[0]))
    targets = make(params, *jax.tree.map(jnp.asarray, (stage.content, stage.styles)))
    image = jnp.asarray(initial_image(stage, spec, prepared.inputs.init))
    return Built(prepared, stage, image, targets, jax.tree.map(jnp.float32, spec.loss_weights))


def device(rehearse: bool) -> Findings:
    """What it runs on."""
    first = jax.devices()[0]
    stats = first.memory_stats() or {}
    yield {
        "kind": first.device_kind,
        "platform": first.platform,
        "devices": jax.device_count(),
        "memory_limit": stats.get("bytes_limit"),
        "jax": jax.__version__,
        "flags": os.environ.get("XLA_FLAGS", ""),
    }


def sketch(array: Any, count: int = 64) -> list[float]:
    """Products with random signs: of two arrays, the root mean square of their differences is the norm of the difference."""
    flat = np.asarray(array, np.float64).ravel()
    rng = np.random.default_rng(0)
    return [float(flat @ rng.choice([-1.0, 1.0], flat.size)) for _ in range(count)]


def checked_numbers() -> Iterator[tuple[str, str, Any]]:
    """What a device computes: a name, the rounding that is allowed, and numbers."""
    vgg = networks.load("vgg19")
    image = jnp.asarray(prepare(make_config({"size": 64, **PICTURES})).inputs.content[:, ::4, ::4])
    for layer, maps in vgg.features(vgg.params, image, ("relu1_1", "relu3_1", "relu5_1")).items():
        yield f"features of {layer}", "features", sketch(maps)
    for loss, pooling, rounding in (("gatys", "average", "gradient"), ("wasserstein", "max", "gradient, max pooling")):
        built = build(96, loss=loss, **{"network.pooling": pooling})
        value, gradient = jax.jit(jax.value_and_grad(built.loss))(built.image)
        yield f"loss, {loss}, {pooling}", "loss", [float(value)]
        yield f"gradient, {loss}, {pooling}", rounding, sketch(gradient)


def reference(rehearse: bool) -> Findings:
    """Writes the numbers that `correctness` compares with: of a processor, committed beside this file."""
    found = {name: values for name, _, values in checked_numbers()}
    REFERENCE.write_text(json.dumps({"jax": jax.__version__, "numbers": found}) + "\n", encoding="utf-8")
    yield {"written": REFERENCE.name, "numbers": len(found)}


def distance(found: Any, expected: Any) -> float:
    """The norm of the difference over that of what is expected."""
    a, b = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def correctness(rehearse: bool) -> Findings:
    """Features, losses and gradients against the processor's; tiles, resume and a batched sweep against the plain way here."""
    expected = json.loads(REFERENCE.read_text("utf-8"))["numbers"]

    def compared(name: str, rounding: str, difference: float) -> dict[str, Any]:
        return {"check": name, "difference": difference, "passed": bool(difference <= ROUNDING[rounding])}

    for name, rounding, values in checked_numbers():
        yield compared(name, rounding, distance(values, expected[name]))
    yield from _root()
    size, tile = (192, 128) if rehearse else (512, 256)
    whole, tiled = (build(size, loss="gatys", **{"scale.tile": one}) for one in ("off", tile))
    yield compared(
        f"tiles of {tile} px against the whole", "tiles", distance(tiled.gradient(whole.image), whole.gradient(whole.image))
    )
    yield from _resumed()
    with tempfile.TemporaryDirectory() as scratch:
        losses = []
        for launcher in ("basic", "batched"):
            settings = ["size=64", "steps=10", "loss=gatys", "seed=1,2", "init=noise", f"hydra/launcher={launcher}"]
            _command("-m", *settings, f"hydra.sweep.dir={scratch}/{launcher}")
            rows = [
                json.loads((Path(scratch) / launcher / name / "metrics.jsonl").read_text().splitlines()[-1]) for name in "01"
            ]
            losses.append([row["loss"] for row in rows])
        yield compared("batched sweep against one after another", "sweep", distance(losses[1], losses[0]))


def _root() -> Findings:
    """The Wasserstein distance of 512 channels against NumPy in float64: its accuracy, and its milliseconds on the device."""
    rng = np.random.default_rng(0)
    first, second = (a @ a.T / 2000 for a in (rng.standard_normal((512, 2000)) ** 3 / 4 for _ in range(2)))
    target = covariance_root(jnp.asarray(first, jnp.float32))
    function = jax.jit(jax.value_and_grad(squared_bures))
    value, gradient = function(jnp.asarray(second, jnp.float32), target)
    a, b = (np.asarray(jnp.asarray(m, jnp.float32), np.float64) + 1e-4 * np.eye(512) for m in (first, second))
    values, vectors = np.linalg.eigh(a)
    root = (vectors * np.sqrt(values)) @ vectors.T
    values, vectors = np.linalg.eigh(root @ b @ root)
    exact = np.trace(a) + np.trace(b) - 2 * np.sqrt(values).sum()
    half = root @ (vectors / values**0.25)
    seconds = _seconds(lambda: jax.block_until_ready(function(jnp.asarray(second, jnp.float32), target)))
    errors = {"value": abs(float(value) / exact - 1), "gradient": distance(gradient, np.eye(512) - half @ half.T)}
    yield {
        "check": "Wasserstein root, 512 channels",
        **errors,
        "ms": 1e3 * seconds,
        "passed": bool(max(errors.values()) < 1e-4),
    }


def _resumed() -> Findings:
    """A job stopped half way and resumed, against one that ran through."""
    prepared = prepare(make_config({"size": 64, "scales": 1, "steps": 8, "loss": "gatys", **PICTURES}))
    inputs, kept = (prepared.params, prepared.inputs, prepared.spec), []

    def stop(report: Any) -> bool:
        kept.append(report.position())
        return True

    whole = job.transfer(*inputs, chunk_at=(4,))
    job.transfer(*inputs, chunk_at=(4,), observe=stop)
    resumed = job.transfer(*inputs, chunk_at=(4,), resume=kept[0])
    difference = float(np.abs(whole.pixels - resumed.pixels).max())
    yield {"check": "resumed against unbroken", "difference": difference, "passed": difference == 0}


def _command(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "nst_jax.run", *arguments, "run.quiet=true"], check=True, stdout=subprocess.DEVNULL)


def _picture(folder: Path, size: int, *settings: str) -> dict[str, Any]:
    """Runs the command, and returns the manifest; the picture is `folder/result.png`."""
    _command("content=astronaut", "style=starry", f"size={size}", f"run.dir={folder}", *settings)
    return json.loads((folder / "manifest.json").read_text("utf-8"))


def bytes_again(rehearse: bool) -> Findings:
    """The same settings in two fresh processes: equal files? With `run.repeatable=true` they must be."""
    size, steps = (48, 4) if rehearse else (256, 20)
    for repeatable in ("true", "false"):
        hashes = []
        with tempfile.TemporaryDirectory() as scratch:
            began = time.perf_counter()
            for name in "ab":
                _picture(Path(scratch) / name, size, f"steps={steps}", f"run.repeatable={repeatable}")
                hashes.append(hashlib.sha256((Path(scratch) / name / "result.png").read_bytes()).hexdigest())
        same = hashes[0] == hashes[1]
        seconds = time.perf_counter() - began
        yield {"repeatable": repeatable, "same": same, "seconds": seconds} | ({"passed": same} if repeatable == "true" else {})


def _seconds(call: Callable[[], Any], times: int = 3) -> float:
    """The fastest of some calls, after one that does not count."""
    call()
    found = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
    return min(found)


def _peak(precision: str) -> float | None:
    kind = jax.devices()[0].device_kind
    return next((peaks[PRECISIONS.index(precision)] for name, peaks in PEAKS.items() if name in kind), None)


def speed(rehearse: bool) -> Findings:
    """Steps in the loop, by size and precision: megapixels times iterations a second, and the share of the card's peak."""
    sizes = (64, 96) if rehearse else (512, 1024, 256, 2048, 4096)
    for size in sizes:
        for precision in PRECISIONS:
            for loss in ("gatys", "wasserstein") if precision == "float32" else ("gatys",):
                what = {"size": size, "precision": precision, "loss": loss}
                try:
                    yield what | _speed(size, precision, loss)
                except Exception as error:  # out of memory, say: the other sizes are still of interest
                    yield what | {"error": " ".join(str(error).split())[:200]}


def _speed(size: int, precision: str, loss: str) -> dict[str, Any]:
    began = time.perf_counter()
    built = build(size, loss=loss, **{"network.precision": precision})
    programs = compile_programs(job.compile_key(built.prepared.params, built.stage, built.prepared.spec)).programs
    compile_s, state = time.perf_counter() - began, programs.start(built.image)

    def call() -> None:
        nonlocal state
        arguments = (built.prepared.params, state, built.targets, built.weights, jnp.int32(STEPS))
        state = jax.block_until_ready(programs.chunk(*arguments)[0])

    seconds = _seconds(call) / STEPS
    flops, peak = FLOP_PER_PIXEL * size**2 / seconds / 1e12, _peak(precision)
    return {
        "ms": 1e3 * seconds,
        "mp_it_s": size**2 / seconds / 1e6,
        "tflops": flops,
        "mfu": flops / peak if peak else None,
        "compile_s": compile_s,
        "tile": built.prepared.spec.plans[0].tile,
        "temporary_bytes": programs.step_bytes,
        "planned_bytes": job_bytes(built.prepared.spec, built.prepared.spec.plans[0], built.stage.height_width),
    }


def pictures(rehearse: bool) -> Findings:
    """The default picture by size: seconds in all, and the peak of memory beside the planner's estimate."""
    for size in (48, 64) if rehearse else (512, 1024, 2048):
        settings = ("steps=4",) if rehearse else ()
        prepared = prepare(make_config({"size": size, **PICTURES}))
        planned = max(job_bytes(prepared.spec, *pair) for pair in zip(prepared.spec.plans, prepared.sizes, strict=True))
        with tempfile.TemporaryDirectory() as scratch:
            began = time.perf_counter()
            manifest = _picture(Path(scratch) / "run", size, *settings)
        yield {
            "size": size,
            "command_s": time.perf_counter() - began,
            "seconds": manifest["seconds"],
            "steps": manifest["steps"],
            "peak_bytes": manifest["peak_memory_bytes"],
            "planned_bytes": planned,
        }


def torch_beside(rehearse: bool) -> Findings:
    """The gradient of PyTorch on the same card, and an opponent's picture; nothing where they are not installed."""
    try:
        import torch
    except ImportError:
        yield {"skipped": "PyTorch is not installed"}
        return
    if not (torch.cuda.is_available() or rehearse):
        yield {"skipped": "PyTorch sees no CUDA device"}
        return
    from experiments.lib.torch_twin import Twin, gram, loss
    from nst_jax.networks.params.store import load_params

    place = "cuda" if torch.cuda.is_available() else "cpu"
    layers = tuple(f"relu{i}_1" for i in range(1, 6))
    twin = Twin(load_params("vgg19"), (*layers, "relu4_2")).to(place)
    for size in (64,) if rehearse else (256, 512, 1024, 2048):
        for allowed in (False, True) if place == "cuda" else (False,):
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed
            torch.backends.cudnn.benchmark = True
            image = torch.rand(1, 3, size, size, device=place, requires_grad=True)
            with torch.no_grad():
                maps = twin(torch.rand(1, 3, size, size, device=place))
                style = {name: gram(maps[name]) for name in layers}

            def gradient(image: Any = image, maps: Any = maps, style: Any = style) -> None:
                torch.autograd.grad(loss(twin, image, {"relu4_2": maps["relu4_2"]}, style, 1.0, 1.0), image)
                if place == "cuda":
                    torch.cuda.synchronize()

            seconds = _seconds(gradient)
            yield {"size": size, "precision": "tf32" if allowed else "float32", "ms": 1e3 * seconds}
    try:
        import style_transfer  # crowsonkb's, https://github.com/crowsonkb/style-transfer-pytorch
    except ImportError:
        yield {"skipped": "style_transfer, the opponent, is not installed"}
        return
    from PIL import Image

    content, style_picture = (Image.new("RGB", (512, 512), color) for color in ("gray", "navy"))
    transfer, began = style_transfer.StyleTransfer(devices=[place]), time.perf_counter()
    transfer.stylize(content, [style_picture], end_scale=64 if rehearse else 512)
    yield {"opponent": "style_transfer", "size": 512, "seconds": time.perf_counter() - began}


PARTS: dict[str, Callable[[bool], Findings]] = {
    "device": device,
    "correctness": correctness,
    "bytes": bytes_again,
    "speed": speed,
    "pictures": pictures,
    "torch": torch_beside,
}


def run_part(name: str, rehearse: bool) -> dict[str, Any]:
    """A part in a process of its own: its findings so far when it ended or its time was up."""
    command = [sys.executable, __file__, name, *(["--rehearse"] if rehearse else [])]
    began, limit = time.perf_counter(), LIMITS[name] * (5 if rehearse else 1)  # a processor is slower
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=output, stderr=errors, text=True)
        try:
            ended = f"exit code {process.wait(limit)}"
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            ended = f"stopped after {limit} s"
        output.seek(0)
        errors.seek(0)
        found = [json.loads(line) for line in output if line.startswith("{") and line.endswith("}\n")]
        problem = {} if ended == "exit code 0" else {"stderr": errors.read()[-2000:]}
    return {"ended": ended, "seconds": round(time.perf_counter() - began, 1), "findings": found} | problem


def run_all(out: Path, parts: list[str], rehearse: bool) -> int:
    """Runs parts, writes result.json after each, and prints the table; returns 1 if a check failed or a part ended early."""
    out.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {}
    for name in parts:
        print(f"{name} ...", file=sys.stderr, flush=True)
        result[name] = run_part(name, rehearse)
        (out / "result.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(table(result))
    whole = all(part["ended"] == "exit code 0" for part in result.values())
    return 0 if whole and all(row.get("passed", True) for part in result.values() for row in part["findings"]) else 1


def table(result: dict[str, Any]) -> str:
    """All findings as Markdown, a table for each part and set of columns."""
    lines = []
    for name, part in result.items():
        lines += ["", f"## {name} ({part['seconds']} s, {part['ended']})"]
        columns: list[str] = []
        for row in part["findings"]:
            if list(row) != columns:
                columns = list(row)
                lines += ["", f"| {' | '.join(columns)} |", f"| {' | '.join('---' for _ in columns)} |"]
            lines.append(f"| {' | '.join(_shown(value) for value in row.values())} |")
    return "\n".join(lines)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(item)}" for key, item in value.items())
    if isinstance(value, int) and not isinstance(value, bool) and value > 1 << 20:
        return f"{value / 2**20:.0f} MiB"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["all", "reference", *PARTS])
    parser.add_argument("--out", type=Path, default=Path("gpu-result"))
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--rehearse", action="store_true", help="small sizes, for a processor")
    options = parser.parse_args()
    if options.part == "all":
        return run_all(options.out, options.parts, options.rehearse)
    use_compilation_cache()
    for finding in (PARTS | {"reference": reference})[options.part](options.rehearse):
        print(json.dumps(finding), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
