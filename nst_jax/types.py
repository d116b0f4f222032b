"""Array types that all parts share."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Array, Float

Scalar = Float[Array, ""]
# One picture: sRGB in [0, 1] wherever it has been read or is to be written; unbounded while it is optimized.
Image = Float[Array, "1 h w 3"]
# One picture in the host's memory.
Pixels = Float[np.ndarray, "1 _h _w 3"]
# A batch of pictures.
Images = Float[Array, "n h w 3"]
# Layer name -> feature map [n, h, w, channels].
Features = dict[str, Float[Array, "n _h _w _c"]]
# Layer name -> {"kernel": ..., "bias": ...}; a plain tree of arrays.
Params = Mapping[str, Any]
