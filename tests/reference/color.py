"""Colors pixel by pixel, in plain Python."""


def oklab(red: float, green: float, blue: float) -> tuple[float, float, float]:
    r, g, b = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (red, green, blue))
    long = (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) ** (1 / 3)
    middle = (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) ** (1 / 3)
    short = (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b) ** (1 / 3)
    return (
        0.2104542553 * long + 0.7936177850 * middle - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * middle + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * middle - 0.8086757660 * short,
    )


def covariance(colors: list[list[float]]) -> list[list[float]]:
    count = len(colors)
    means = [sum(color[i] for color in colors) / count for i in range(3)]
    return [[sum((c[i] - means[i]) * (c[j] - means[j]) for c in colors) / count for j in range(3)] for i in range(3)]
