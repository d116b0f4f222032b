"""Warping error, style and drift of painted films whose flow is known.

    python experiments/019-video/measure.py FILMS OUT SYSTEM...

FILMS is made by films.py. A system is a name of `SYSTEMS`, perhaps with further settings behind commas; each paints each film
by the command line, and gives one line of JSON.
"""

import functools
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import nst_jax
from nst_jax.images.files import read_image
from nst_jax.objective.temporal import warp
from nst_jax.runs.folder import RunFolder

RUDER = [
    *("loss=gatys", "init=noise", "scales=1", "steps=300", "temporal.steps=150", "temporal.offsets=[1]"),
    *("loss.content_layers=[relu4_2]", "loss.tv_weight=0"),
]
SYSTEMS = {
    "ours": [],
    "apart": ["temporal.cut=1"],  # every frame by itself
    "ruder": RUDER,
}


def paint(film: Path, out: Path, settings: list[str]) -> float:
    """Paints a film by the command line; returns the seconds."""
    began = time.perf_counter()
    command = ["nst_jax.video", f"content.path={film}", "style=starry", "size=192", "codec=png", f"run.dir={out}", *settings]
    subprocess.run([sys.executable, "-m", *command, "run.quiet=true"], check=True)
    return time.perf_counter() - began


@functools.cache
def judge(height: int, width: int) -> Callable[[jnp.ndarray], float]:
    """The style term of the default loss for frames of a size, by which every system is judged."""
    gray = np.full((height, width, 3), 0.5, np.float32)  # whatever the content
    loss, _ = nst_jax.make_loss(gray, "starry", size=max(height, width))
    style = jax.jit(lambda loss, image: loss.terms(image)["style"])
    return lambda image: float(style(loss, image))


def scores(film: Path, out: Path) -> dict[str, float]:
    """Of the painted frames: mean squared warping error over what is seen (x 1e4), style term, change of lightness."""
    truth = np.load(film.with_suffix(".npz"))
    frames = [read_image(file).pixels for file in sorted((out / "frames").glob("*.png"))]
    errors = []
    for i, (flow, seen) in enumerate(zip(truth["flow"], truth["seen"], strict=True), 1):
        if i >= len(frames):
            break
        moved = np.asarray(warp(jnp.asarray(frames[i - 1]), jnp.asarray(flow)))
        errors.append(float(((frames[i] - moved)[0][seen] ** 2).mean()))
    rows = RunFolder(out).read_metrics()
    last = {row.get("frame", 0): row for row in rows}
    begins = {row["frame"]: row["seconds"] for row in reversed(rows)}
    later = [last[i]["seconds"] - last[i - 1]["seconds"] for i in sorted(begins)[2:]]
    changes = [np.abs(b - a).max() * 255 for a, b in itertools.pairwise(frames)]
    return {
        "warping": 1e4 * float(np.mean(errors)),
        "style": float(np.mean([judge(*frame.shape[1:3])(jnp.asarray(frame)) for frame in frames[:8]])),
        "lightness": float((frames[-1].mean() - frames[0].mean()) / frames[0].mean()),
        "largest_difference": float(np.max(changes)),
        "seconds_a_frame": float(np.median(later)) if later else 0.0,
    }


if __name__ == "__main__":
    films, out, *names = sys.argv[1:]
    for name in names:
        base, *extra = name.split(",")
        for film in sorted(path for path in Path(films).iterdir() if path.is_dir()):
            folder = Path(out) / f"{name.replace('/', '_')}-{film.name}"
            seconds = paint(film, folder, [*SYSTEMS[base], *extra]) if not folder.exists() else 0.0
            print(
                json.dumps({"system": name, "film": film.name, "seconds": round(seconds, 1)} | scores(film, folder)), flush=True
            )
