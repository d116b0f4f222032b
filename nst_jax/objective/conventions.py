"""Normalizations of the two terms in other systems, so that their weights can be used unchanged.

With M positions and C channels, the paper's terms are ½ Σ (F − P)² for content, which grows with the picture, and
E_l = ¼ mean (Ĝ − Â)² for style, with Ĝ the Gram matrix over M. Every system multiplies these by something of its own:

| convention     | content             | style, one layer       | layers | its usual weights, content : style |
| -------------- | ------------------- | ---------------------- | ------ | ---------------------------------- |
| `paper`        | ½ Σ (F − P)²        | ¼ mean (Ĝ − Â)²        | mean   | 1e-3 : 1                           |
| `mean`         | mean (F − P)²       | mean (Ĝ − Â)²          | mean   | ours, the same look at any size    |
| `gatys_code`   | mean (F − P)²       | mean (Ĝ − Â)² / C²     | sum    | 1 : 1e3                            |
| `jcjohnson`    | mean (F − P)²       | mean (Ĝ − Â)² / C²     | sum    | 5 : 1e2                            |
| `anishathalye` | mean (F − P)²       | mean (Ĝ − Â)² / C²     | mean   | 5 : 5e2                            |
| `gordicaleksa` | mean (F − P)²       | mean (Ĝ − Â)²          | mean   | 1e5 : 3e4                          |

The style column is about Gram matrices. Of other style distances, which are means over channels or their squares as they are,
a convention only adds up the layers or averages them; no other system's weights are known to carry over there.

Layer weights are 1/n unless given, hence "sum" multiplies by the number n of layers. The numbers carry over for the same
network parameters only: activations of the normalized VGG-19, of the Caffe one and of torchvision's differ by large factors.

References:
    Gatys' own code: leongatys/PytorchNeuralStyleTransfer. Others: jcjohnson/neural-style, anishathalye/neural-style,
    gordicaleksa/pytorch-neural-style-transfer (all on GitHub).
"""

from dataclasses import dataclass

from jaxtyping import Array, Float

from nst_jax.objective.statistics import SquaredError


@dataclass(frozen=True)
class Convention:
    """Factors on the paper's terms.

    Attributes:
        mean_content: the content term is a mean over entries instead of half a sum.
        style_scale: constant factor on E_l of Gram matrices.
        style_power: this E_l is divided by C to this power.
        sum_layers: style layers are added up instead of averaged.
    """

    mean_content: bool = True
    style_scale: float = 4.0
    style_power: int = 0
    sum_layers: bool = False

    def content_factor(self, error: SquaredError) -> Float[Array, ""] | float:
        """Factor on ½ Σ (F − P)² over as many entries as `error` has."""
        return 2 / error.entries if self.mean_content else 1.0

    def style_factor(self, distance: str, *, channels: int, num_layers: int) -> float:
        """Factor on E_l, or on another distance, for a layer of so many channels, one of so many layers.

        Example:
            >>> CONVENTIONS["jcjohnson"].style_factor("gram", channels=64, num_layers=5) == 4 * 5 / 64**2
            True
            >>> CONVENTIONS["jcjohnson"].style_factor("wasserstein", channels=64, num_layers=5)
            5.0
        """
        layers = float(num_layers) if self.sum_layers else 1.0
        return self.style_scale / channels**self.style_power * layers if distance == "gram" else layers


CONVENTIONS = {
    "paper": Convention(mean_content=False, style_scale=1.0),
    "mean": Convention(),
    "gatys_code": Convention(style_power=2, sum_layers=True),
    "jcjohnson": Convention(style_power=2, sum_layers=True),
    "anishathalye": Convention(style_power=2),
    "gordicaleksa": Convention(),
}
