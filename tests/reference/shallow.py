"""Float64 NumPy twins of HOG and dense SIFT, pixel by pixel from their definitions."""

import numpy as np


def votes(dy, dx, number, bilinear):
    """The directions that one gradient votes for: [(bin, length), ...]."""
    length = np.hypot(dx, dy)
    place = (np.arctan2(dy, dx) % (2 * np.pi)) / (2 * np.pi) * number
    if not bilinear:
        return [(int(np.floor(place + 0.5)) % number, length)]
    low = int(np.floor(place))
    return [(low % number, length * (low + 1 - place)), ((low + 1) % number, length * (place - low))]


def hog(gray, bilinear=False, cell=8, number=9):
    """HOG [h2, w2, 31] of a picture [h, w] in 0..255."""
    height, width = gray.shape
    rows, columns = (height + cell // 2) // cell, (width + cell // 2) // cell
    histogram = np.zeros((rows, columns, 2 * number))
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            dy, dx = (gray[y + 1, x] - gray[y - 1, x]) / 2, (gray[y, x + 1] - gray[y, x - 1]) / 2
            v, u = (y + 0.5) / cell - 0.5, (x + 0.5) / cell - 0.5
            for i in (int(np.floor(v)), int(np.floor(v)) + 1):
                for j in (int(np.floor(u)), int(np.floor(u)) + 1):
                    if 0 <= i < rows and 0 <= j < columns:
                        for k, length in votes(dy, dx, 2 * number, bilinear):
                            histogram[i, j, k] += (1 - abs(v - i)) * (1 - abs(u - j)) * length
    undirected = histogram[..., :number] + histogram[..., number:]
    energy = (undirected**2).sum(-1)
    result = np.zeros((rows, columns, 3 * number + 4))
    for i in range(rows):
        for j in range(columns):
            for block, (a, b) in enumerate([(-1, -1), (-1, 1), (1, -1), (1, 1)]):
                ii, jj = min(max(i + a, 0), rows - 1), min(max(j + b, 0), columns - 1)
                norm = np.sqrt(energy[i, j] + energy[ii, j] + energy[i, jj] + energy[ii, jj] + 1e-10)
                directed = np.minimum(histogram[i, j] / norm, 0.2)
                result[i, j, : 2 * number] += directed / 2
                result[i, j, 2 * number : 3 * number] += np.minimum(undirected[i, j] / norm, 0.2) / 2
                result[i, j, 3 * number + block] = directed.sum() / np.sqrt(2 * number)
    return result


def dsift(gray, step, window, size=5, bins=4, number=8):
    """Dense SIFT [h2, w2, 128] of a picture [h, w] in 0..255."""
    height, width = gray.shape
    dy, dx = np.gradient(gray)
    votes_at = np.zeros((height, width, number))
    for y in range(height):
        for x in range(width):
            for k, length in votes(dy[y, x], dx[y, x], number, True):
                votes_at[y, x, k] += length
    reach = size * (bins - 1)
    descriptors = []
    for top in range(0, height - reach, step):
        descriptors.append([])
        for left in range(0, width - reach, step):
            found = np.zeros((bins, bins, number))
            for a in range(bins):
                for b in range(bins):
                    for y in range(top + a * size - size, top + a * size + size + 1):
                        for x in range(left + b * size - size, left + b * size + size + 1):
                            triangle = (1 - abs(y - top - a * size) / size) * (1 - abs(x - left - b * size) / size)
                            away = (y - top - reach / 2) ** 2 + (x - left - reach / 2) ** 2
                            share = triangle * np.exp(-0.5 * away / (size * window) ** 2)
                            found[a, b] += share * votes_at[min(max(y, 0), height - 1), min(max(x, 0), width - 1)]
            found = np.minimum(found / (np.linalg.norm(found) + 2.0**-23), 0.2)
            descriptors[-1].append((found / (np.linalg.norm(found) + 2.0**-23)).ravel())
    return np.array(descriptors)
