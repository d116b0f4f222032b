"""Warping error, style and drift of painted films.

    python experiments/019-video/measure.py FILMS OUT SYSTEM...

FILMS is a folder made by films.py, whose flow is known, or one film; where no flow is known, that of DeepFlow, which no system
paints by, judges on the pixels that it is wholly sure of. A system is a name of `SYSTEMS`, perhaps with further settings behind
commas; each paints each film by the command line, and gives one line of JSON. Needs nst_jax[video,lpips].
"""

import functools
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import nst_jax
from nst_jax.evaluate.heldout import Judge, fitted, judge
from nst_jax.images.files import read_image, resize
from nst_jax.images.named import find_image
from nst_jax.objective.temporal import reliability, warp
from nst_jax.runner.kinds import config_in
from nst_jax.runs.folder import RunFolder
from nst_jax.types import Pixels
from nst_jax.video.config import FlowConfig
from nst_jax.video.flow import optical_flow
from nst_jax.video.frames import open_clip, read_clip

# The schedule and the loss of Ruder et al.'s single pass, at 15 percent of their steps.
RUDER = [
    *("loss=gatys", "init=noise", "scales=1", "steps=300", "temporal.steps=150", "temporal.offsets=[1]"),
    *("loss.content_layers=[relu4_2]", "loss.tv_weight=0", "optimizer.memory=100"),
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


def with_first_frame(film: Path, out: Path, settings: list[str]) -> list[str]:
    """The settings with the first frame as a keyframe: painted once, it is the same at every temporal weight."""
    own = [setting for setting in settings if not setting.startswith(("temporal", "frames"))]
    folder = out / "-".join(["first", film.stem, *(setting for setting in own if setting not in RUDER)])
    if not folder.exists():
        paint(film, folder, [*own, "frames=0:1"])
    return [*settings, f"keyframes={folder / 'frames'}"]


@functools.cache
def default_style_term(height: int, width: int) -> Callable[[jnp.ndarray], float]:
    """The style term of the default loss for frames of a size."""
    gray = np.full((height, width, 3), 0.5, np.float32)  # whatever the content
    loss, _ = nst_jax.make_loss(gray, "starry", size=max(height, width))
    style = jax.jit(lambda loss, image: loss.terms(image)["style"])
    return lambda image: float(style(loss, image))


def held_out_style(content: Pixels, frame: Pixels) -> Judge:
    """On VGG-16, for which no system optimizes; it has style_w2_vgg16 and style_gram_vgg16 of `nst_jax.evaluate`."""
    return judge("vgg16", *fitted(content, find_image("starry").pixels, frame), frame)


def flows(film: Path, content: list[Pixels]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each frame but the first, the flow to the frame before, and where it can be judged."""
    if (known := film.with_suffix(".npz")).exists():
        truth, (height, width) = np.load(known), content[0].shape[1:3]
        count, high, wide, _ = truth["flow"].shape
        scale = np.array((width / wide, height / high), np.float32)
        flow = jax.image.resize(truth["flow"], (count, height, width, 2), "linear") * scale
        seen = jax.image.resize(np.float32(truth["seen"]), (count, height, width), "linear")
        yield from zip(np.asarray(flow), np.asarray(seen) > 0.999, strict=True)
        return
    deep = FlowConfig("deepflow")
    for i, (before, frame) in enumerate(itertools.pairwise(content)):
        flow, back = optical_flow(frame, before, (i + 1, i), deep), optical_flow(before, frame, (i, i + 1), deep)
        yield flow, np.asarray(reliability(jnp.asarray(flow), jnp.asarray(back)))[0, ..., 0] > 0.99


def scores(film: Path, out: Path) -> dict[str, float]:
    """Of the painted frames: mean squared warping error over what is seen (x 1e4), style by two judges, change of lightness."""
    frames = [read_image(file).pixels for file in sorted((out / "frames").glob("*.png"))]
    size = (frames[0].shape[1], frames[0].shape[2])
    clip = open_clip(film, config_in(RunFolder(out)).frames)
    content = [resize(pixels, size) for _, pixels in read_clip(clip)]
    errors = []
    for (before, frame), (flow, seen) in zip(itertools.pairwise(frames), flows(film, content), strict=False):
        moved = np.asarray(warp(jnp.asarray(before), jnp.asarray(flow)))
        errors.append(float(((frame - moved)[0][seen] ** 2).mean()))
    rows = RunFolder(out).read_metrics()
    last = {row.get("frame", 0): row for row in rows}
    begins = {row["frame"]: row["seconds"] for row in reversed(rows)}
    later = [last[i]["seconds"] - last[i - 1]["seconds"] for i in sorted(begins)[2:]]
    judged = [held_out_style(*pair) for pair in zip(content[:8], frames[:8], strict=True)]
    changes = [np.abs(b - a).max() * 255 for a, b in itertools.pairwise(frames)]
    return {
        "warping": 1e4 * float(np.mean(errors)),
        "style": float(np.mean([default_style_term(*size)(jnp.asarray(frame)) for frame in frames[:8]])),
        "style_w2_vgg16": float(np.mean([one.wasserstein for one in judged])),
        "style_gram_vgg16": float(np.mean([one.gram for one in judged])),
        "lightness": float(max(abs(frame.mean() / frames[0].mean() - 1) for frame in frames)),
        "largest_difference": float(np.max(changes)),
        "seconds_a_frame": float(np.median(later)) if later else 0.0,
    }


if __name__ == "__main__":
    given, out, *names = Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]
    several = given.is_dir() and not [*given.glob("*.png")]
    films = sorted(path for path in given.iterdir() if path.is_dir()) if several else [given]
    for name in names:
        base, *extra = name.split(",")
        for film in films:
            folder = out / f"{name.replace('/', '_')}-{film.stem}"
            settings, seconds = [*SYSTEMS[base], *extra], 0.0
            if not folder.exists():
                seconds = paint(film, folder, with_first_frame(film, out, settings) if base == "ruder" else settings)
            facts = {"system": name, "film": film.stem, "seconds": round(seconds, 1)}
            print(json.dumps(facts | scores(film, folder)), flush=True)
