"""Pictures of 100 megapixels on disk: the peak of memory and the seconds of reading, resizing and writing them.

    python experiments/006-scale/pictures.py
    python experiments/006-scale/pictures.py --width 3060 --height 2040     # a quick look

A gradient with noise, as TIFF of 16 and of 8 bits a channel and as PNG of 8 bits, in a temporary folder. Each row is a process
of its own: the peak of its resident memory, and what it had before the task. "resize" and "write" begin with the picture in
memory; "all" reads a file, resizes it to `--size`, and writes the whole picture again in the same form.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from nst_jax.images.files import fit_long_side, read_image, resize, write_image

FILES = {"16.tif": np.uint16, "8.tif": np.uint8, "8.png": np.uint8}
CASES = [(task, name) for task in ("read", "all") for name in FILES] + [("resize", ""), ("write", "a.tif"), ("write", "a.png")]


def main() -> None:
    """One line of JSON for each task."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--width", type=int, default=12240)
    parser.add_argument("--height", type=int, default=8160)
    parser.add_argument("--size", type=int, default=4096, help="the longer side to resize to")
    parser.add_argument("--task", help="used by the script itself")
    parser.add_argument("--file", default="", help="used by the script itself")
    options = parser.parse_args()
    if options.task:
        print(json.dumps(measured(options.task, options.file, options)))
        return
    shape = ["--width", str(options.width), "--height", str(options.height), "--size", str(options.size)]
    with tempfile.TemporaryDirectory() as folder:
        for task, name in [*(("make", name) for name in FILES), *CASES]:
            command = [sys.executable, __file__, *shape, "--task", task, "--file", str(Path(folder, name))]
            row = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
            if task != "make":
                print(row, flush=True)


def measured(task: str, file: str, options: argparse.Namespace) -> dict[str, Any]:
    """Does a task and tells what it took; what it begins with is not counted as its time."""
    picture = drawn(options.height, options.width) if task in ("make", "resize", "write") else None
    loaded, began, busy = resident("VmRSS"), time.perf_counter(), time.process_time()
    perform(task, Path(file), picture, options.size)
    seconds = {"seconds": round(time.perf_counter() - began, 1), "cpu_seconds": round(time.process_time() - busy, 1)}
    name = Path(file).name if task != "resize" else ""
    return {"task": task, "file": name, **seconds, "peak_mb": resident("VmHWM"), "before_mb": loaded}


def perform(task: str, file: Path, picture: np.ndarray | None, size: int) -> None:
    """Makes a file, reads, resizes or writes one, or all of this."""
    if task == "make":
        make(file, picture)
        return
    if task in ("read", "all"):
        picture = read_image(file).pixels
    if task in ("resize", "all"):
        assert picture is not None
        resize(picture, fit_long_side(picture.shape[1], picture.shape[2], size))
    if task in ("write", "all"):
        assert picture is not None
        write_image(file.with_stem("written"), picture)


def drawn(height: int, width: int) -> np.ndarray:
    """A gradient with noise, float32, made row by row: nothing else of its size has been in memory."""
    generator, pixels = np.random.default_rng(0), np.empty((1, height, width, 3), np.float32)
    across = np.linspace(0.1, 0.7, width, dtype=np.float32)[:, None] * np.array([1, 0.8, 0.6], np.float32)
    for row in range(height):
        pixels[0, row] = across + 0.2 * row / height + 0.05 * generator.random((width, 3), np.float32)
    return pixels


def make(file: Path, picture: np.ndarray | None) -> None:
    """A file as other programs write it: the TIFF without compression."""
    assert picture is not None
    kind = FILES[file.name]
    samples = (picture[0] * np.iinfo(kind).max).astype(kind)
    if file.suffix == ".tif":
        tifffile.imwrite(file, samples, photometric="rgb")
    else:
        Image.fromarray(samples).save(file)


def resident(field: str) -> int:
    """Megabytes (10^6 bytes) of this process: VmRSS now, VmHWM at its peak."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return round(int(lines[field].split()[0]) * 1024 / 1e6)


if __name__ == "__main__":
    main()
