"""A profile of a run: some steps of the finest scale traced by JAX's profiler, and milliseconds by layer and part.

`profile/` in the run folder opens in XProf, TensorBoard or Perfetto. `profile.txt` beside report.html is a table of it: how
long the threads of a processor, or the streams of a GPU, were busy with the operations of each layer, forwards and backwards.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import jax

from nst_jax import job
from nst_jax.errors import InputError
from nst_jax.job.compile import compile_programs
from nst_jax.runner.prepare import TRANSFER, Prepared
from nst_jax.runs.callback import Recorder
from nst_jax.runs.folder import RunFolder
from nst_jax.system.atomic_write import atomic_write

# Steps that are traced, after two of the finest scale, the first of which waits for memory.
STEPS, BEFORE = 4, 2
# Operations whose time is that of others inside.
_CONTAINERS = re.compile(r"(while|call|conditional)\b")
_INSTRUCTION = re.compile(r'^\s*(?:ROOT )?%?([\w.\-]+) = .*?op_name="([^"]*)"', re.MULTILINE)
_LAYER = re.compile(r"/(conv\d\w*|preprocess)/")
# What an operation is, by its last words; the first that fits.
_PARTS = (
    ("products", re.compile(r"dot_general|conv_general_dilated|gemm")),
    ("eigenproblems", re.compile(r"eigh|syevd")),
    ("transforms", re.compile(r"_convolve_band")),
)


def check_profile(prepared: Prepared) -> None:
    """Raises InputError for a profile of something else than a picture."""
    if prepared.config.run.profile and prepared.kind is not TRANSFER:
        raise InputError(f"run.profile must be false in {prepared.kind.name}, got true; profile a picture of the same settings")


@contextmanager
def profiling(prepared: Prepared, folder: RunFolder, recorder: Recorder) -> Iterator[tuple[job.Callback, Sequence[int]]]:
    """The callback of a job, and the steps at which chunks end; with `run.profile` it makes a trace, whose table follows."""
    if not prepared.config.run.profile:
        yield recorder, recorder.snapshot_at
        return
    profiler = Profiler(folder, profiled_steps(prepared), recorder)
    try:
        yield profiler, sorted({*recorder.snapshot_at, *profiler.at})
    finally:
        profiler.close()
    write_table(prepared, folder)


@dataclass
class Profiler:
    """The callback that traces the steps `at`, from the first to the second, into `folder`.

    Attributes:
        folder: of the run.
        at: the steps between which the trace is made; a chunk has to end at both.
        observe: is called, too.
    """

    folder: RunFolder
    at: Sequence[int]
    observe: job.Callback
    traced: bool = field(default=False, init=False)

    def __call__(self, report: job.StepInfo) -> bool:
        """Starts or ends the trace where it is time."""
        if self.traced and report.step >= self.at[1]:
            self.close()
        stop = self.observe(report)
        if report.step == self.at[0] and not (stop or report.last):
            options = jax.profiler.ProfileOptions()
            options.python_tracer_level = 0  # thousands of calls a step
            jax.profiler.start_trace(self.folder.profile, profiler_options=options)
            self.traced = True
        return stop

    def close(self) -> None:
        """Ends the trace, if one is being made."""
        if self.traced:
            self.traced = False
            jax.profiler.stop_trace()


def profiled_steps(prepared: Prepared) -> tuple[int, int]:
    """The steps between which the trace is made."""
    *coarser, finest = (scale.steps for scale in prepared.spec.scales)
    first = sum(coarser) + min(BEFORE, max(finest - 1, 0))
    return first, min(first + STEPS, sum(coarser) + finest)


def write_table(prepared: Prepared, folder: RunFolder) -> None:
    """Writes profile.txt from the trace; nothing if no step was traced."""
    traces = sorted(folder.profile.rglob("*.xplane.pb"))
    if not traces:
        return
    first, last = profiled_steps(prepared)
    stage = job.make_stages(prepared.inputs, prepared.spec)[-1]
    program = compile_programs(job.compile_key(prepared.params, stage, prepared.spec)).programs.chunk  # there already
    found = milliseconds(_operations(traces[-1]), names_of(program.as_text()))
    steps = max(last - first, 1)
    text = table({key: value / steps for key, value in found.items()}, steps, stage.height_width)
    atomic_write(folder.path / "profile.txt", text.encode())


def names_of(program: str) -> dict[str, str]:
    """The name that JAX gave to each instruction of a compiled program, from its text."""
    return dict(_INSTRUCTION.findall(program))


def _operations(trace: Path) -> Iterator[tuple[str, float]]:
    """The instructions that a trace has seen, with their milliseconds."""
    for plane in jax.profiler.ProfileData.from_file(str(trace)).planes:
        for line in plane.lines:
            for event in line.events:
                if operation := dict(event.stats).get("hlo_op"):
                    yield str(operation), event.duration_ns / 1e6


def milliseconds(operations: Iterable[tuple[str, float]], names: Mapping[str, str]) -> dict[tuple[str, str, str], float]:
    """Milliseconds by layer ("" beside the network), direction ("forward", "backward") and part.

    Example:
        >>> name = "while/body/transpose(jvp(features))/ConvNet/conv4_1/_convolve_band/dot_general"
        >>> milliseconds([("dot.1", 2.0), ("dot.1", 1.0), ("while.2", 9.0)], {"dot.1": name})
        {('conv4_1', 'backward', 'products'): 3.0}
    """
    found: dict[tuple[str, str, str], float] = defaultdict(float)
    for operation, duration in operations:
        if _CONTAINERS.match(operation):
            continue
        name = names.get(operation, operation)
        layer = next(iter(_LAYER.findall(f"/{name}/")), "")
        part = next((part for part, words in _PARTS if words.search(name)), "other")
        found[layer, "backward" if "transpose(" in name else "forward", part] += duration
    return dict(found)


def table(found: Mapping[tuple[str, str, str], float], steps: int, height_width: tuple[int, int]) -> str:
    """The milliseconds of a step as text, the layers in the order of their names."""
    parts = [name for name, _ in _PARTS] + ["other"]
    height, width = height_width
    lines = [
        f"Milliseconds of a step at {width}x{height}, mean of {steps}: how long threads were busy, more than the clock shows",
        "",
        f"{'layer':14}{'direction':10}{''.join(f'{part:>15}' for part in parts)}{'all':>10}",
    ]
    for layer in sorted({layer for layer, _, _ in found}, key=lambda layer: (not layer, layer)):
        for direction in ("forward", "backward"):
            row = [found.get((layer, direction, part), 0.0) for part in parts]
            if any(row):
                cells = "".join(f"{value:15.2f}" for value in row)
                lines.append(f"{layer or 'beside layers':14}{direction:10}{cells}{sum(row):10.2f}")
    sums = [sum(value for (_, _, p), value in found.items() if p == part) for part in parts]
    lines.append(f"{'all':24}{''.join(f'{value:15.2f}' for value in sums)}{sum(sums):10.2f}")
    return "\n".join(lines) + "\n"
