"""Ten films, each killed once at another moment and resumed: the same bytes?

python experiments/019-video/kills.py FILM OUT
"""

import hashlib
import subprocess
import sys
import time
from pathlib import Path

SETTINGS = [
    "style=wave",
    "size=64",
    "scales=2",
    "steps=[8,6]",
    "temporal.steps=6",
    "run.quiet=true",
    "run.checkpoint_every_s=0.2",
]
SETTINGS += ["loss.content_layers=[relu2_1]", "loss.style_layers=[relu1_1,relu2_1]"]


def digest(folder: Path) -> str:
    """Of all frames, and of the picture with its record."""
    files = [*sorted((folder / "frames").glob("*.png")), folder / "result.png"]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def frames(folder: Path) -> int:
    """How many are finished."""
    return len([*(folder / "frames").glob("[0-9]*.png")])


if __name__ == "__main__":
    film, out = sys.argv[1], Path(sys.argv[2])
    command = [sys.executable, "-m", "nst_jax.video", f"content.path={film}", *SETTINGS]
    began = time.monotonic()
    subprocess.run([*command, f"run.dir={out}/whole"], check=True)
    whole = time.monotonic() - began
    same = 0
    for number in range(10):
        folder = out / str(number)
        with subprocess.Popen([*command, f"run.dir={folder}"]) as process:
            ready = folder / "metrics.jsonl"  # the first step is made
            while not (ready.exists() and frames(folder) >= number % 8) and process.poll() is None:
                time.sleep(0.01)
            time.sleep(0.03 * number)
            process.kill()
        before = frames(folder)
        subprocess.run([sys.executable, "-m", "nst_jax.video", "--resume", str(folder)], check=True, capture_output=True)
        same += digest(folder) == digest(out / "whole")
        print(f"killed after {before} frames: {'the same bytes' if digest(folder) == digest(out / 'whole') else 'OTHER BYTES'}")
    print(f"{same} of 10 the same; one unbroken film took {whole:.0f} s")
