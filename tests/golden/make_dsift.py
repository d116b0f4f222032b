"""Makes dsift_vlfeat.npz: the dense SIFT of VLFeat, compiled from the package pyvlfeat 0.1.1a3 of PyPI, of a small picture.

    pip download --no-deps --no-binary :all: pyvlfeat==0.1.1a3 && tar xzf pyvlfeat-0.1.1a3.tar.gz
    python -m tests.golden.make_dsift pyvlfeat-0.1.1a3/vlfeat/vl     # needs gcc

VLFeat computes in float32 with approximations of its own of the arctangent (up to 0.005 rad off) and the square root.
"""

import ctypes
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

GLUE = """
#include "dsift.h"
int dsift(float const *image, int width, int height, int step, double window, float *out) {
  VlDsiftFilter *filter = vl_dsift_new_basic(width, height, step, 5);
  vl_dsift_set_window_size(filter, window);
  vl_dsift_process(filter, image);
  int number = vl_dsift_get_keypoint_num(filter), i;
  for (i = 0; i < number * 128; ++i) out[i] = vl_dsift_get_descriptors(filter)[i];
  vl_dsift_delete(filter);
  return number;
}
"""


def picture() -> np.ndarray:
    """Waves of two periods and a step, in 0..255."""
    y, x = np.mgrid[:46, :51]
    return (128 + 60 * np.sin(y / 3 + x / 5) + 40 * np.cos(x * y / 90) + 20 * (x > 30)).astype(np.float32)


def main() -> None:
    """Compiles VLFeat's sources in the folder given, and runs them."""
    sources = [str(Path(sys.argv[1]) / f"{name}.c") for name in ("dsift", "imopv", "mathop", "generic", "host", "random")]
    with tempfile.TemporaryDirectory() as folder:
        glue, library = Path(folder) / "glue.c", Path(folder) / "dsift.so"
        glue.write_text(GLUE)
        flags = ["-std=gnu99", "-O2", "-fPIC", "-shared", "-w", "-DVL_DISABLE_SSE2", "-DVL_DISABLE_THREADS", f"-I{sys.argv[1]}"]
        subprocess.run(["gcc", *flags, str(glue), *sources, "-o", str(library), "-lm", "-lpthread"], check=True)
        run = ctypes.CDLL(str(library)).dsift
    gray, found = picture(), {}
    for step, window in ((15, 1.5), (5, 2.0)):
        out = np.zeros((1000, 128), np.float32)
        height, width = gray.shape
        pointers = gray.ctypes.data_as(ctypes.c_void_p), out.ctypes.data_as(ctypes.c_void_p)
        number = run(pointers[0], width, height, step, ctypes.c_double(window), pointers[1])
        rows = len(range(0, height - 15, step))
        found[f"step{step}"] = out[:number].reshape(rows, -1, 128).astype(np.float16)
    np.savez_compressed(Path(__file__).with_name("dsift_vlfeat.npz"), **found)


if __name__ == "__main__":
    main()
