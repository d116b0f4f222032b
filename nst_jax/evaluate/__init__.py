"""Scores of a finished picture by networks that were not optimized, and by its pixels.

The content is resized to the size of the picture by `images.files.resize`; the style, which keeps its own aspect ratio, to the
same longer side, but it is never enlarged. Lower is better unless the table says otherwise.

| key | measures | range |
| --- | --- | --- |
| `lpips_alex` | LPIPS to the content on AlexNet | 0 same; 0.8 unrelated |
| `lpips_vgg` | LPIPS to the content on VGG-16 | 0 same; 0.8 unrelated |
| `style_gram_vgg16` | relative squared distance of Gram matrices to the style's, 5 layers | 0 same; 1 a black map |
| `style_w2_vgg16` | squared Wasserstein-2 distance of features to the style's, per channel, 5 layers | 0 same; 6 a photograph |
| `style_w2_alex` | the same on AlexNet | 0 same; 3 a photograph |
| `color_w2` | sliced Wasserstein-2 distance of colors to the style's, OKLab · 100 | 0 same; 2 just visible |
| `tv_ratio` | total variation over the style's | 1 equal; 2 noise; ½ haze |
| `noise` | fine detail in flat regions of the content, over that in flat regions of the style | 1 equal; 2 visible grain |
| `rim` | pale or dark halo beside strong edges of the content, on plain ground, lightness · 100 | < 2; 4 visible |
| `border` | contrast of the outermost pixels to the interior | 1 no frame; 2 a visible one |
| `checkerboard` | detail that alternates in both directions, over all detail | < 0.6; 1 noise; 2 a checkerboard |
| `grid` | unevenness of detail over positions modulo 8 pixels | < 0.05; 0.1 visible |

No single score identifies a good picture: the content itself has LPIPS 0, the style itself has style distance 0.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nst_jax.evaluate.heldout import scores

__all__ = ["scores"]


def __getattr__(name: str) -> Any:
    """Imports JAX as late as that, so that `python -m nst_jax.evaluate` can prepare its process before."""
    if name not in __all__:
        raise AttributeError(f"module 'nst_jax.evaluate' has no attribute {name!r}")
    from nst_jax.evaluate import heldout

    return heldout.scores
