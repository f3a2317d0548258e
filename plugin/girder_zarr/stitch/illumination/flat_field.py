"""The result of estimating illumination: a smooth field for each channel, as data.

Below the plan, which carries it, while `estimate` is above the plan, whose patches it looks at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial import legendre

#: The sum of the degrees along y and x of the polynomials that a field is made of: enough for vignettes,
#: lamps beside the axis and tilted light; not for dust and fringes, which need a measured field.
DEGREE = 6
#: The powers of y and x, in the order of the coefficients; the constant is left out.
TERMS = tuple((row, total - row) for total in range(1, DEGREE + 1) for row in range(total + 1))


def basis(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the products of Legendre's polynomials at some places.

    :param y: from -1 (the upper edge of a patch) to 1, of any shape.
    :param x: likewise, of the same shape.
    :returns: that shape and one more axis for ``TERMS``.
    """
    rows, columns = (legendre.legvander(values, DEGREE) for values in (y, x))
    return np.stack([rows[..., row] * columns[..., column] for row, column in TERMS], axis=-1)


def centres(count: int) -> np.ndarray:
    """Return the middles of so many equal parts of -1 to 1."""
    return (np.arange(count) + 0.5) * (2 / count) - 1


@dataclass(frozen=True, slots=True)
class FlatField:
    """The illumination of the patches of one channel.

    :param channel: the index along c that its patches name, 0 where they name none.
    :param shape: ``(y, x)`` of these patches in pixels.
    :param coefficients: for each band those of ``TERMS``, of the logarithm of the field.
    :param tiles: how many patches were looked at.
    :param pairs: how many pairs of neighbours, where they overlap.
    :param residual: by how much two patches differ in what they show of one place, in logarithms, after
        correction: the robust standard deviation. 0.01 is one per cent. None without pairs.
    :param before: the same before correction.
    """

    channel: int
    shape: tuple[int, int]
    coefficients: tuple[tuple[float, ...], ...]
    tiles: int
    pairs: int
    residual: float | None = None
    before: float | None = None

    def image(self, shape: tuple[int, int] | None = None) -> np.ndarray:
        """Return the field ``(y, x, bands)``, float32, with a mean of 1 in each band.

        :param shape: ``(y, x)``, if another resolution is wanted.
        """
        height, width = shape or self.shape
        rows, columns = (
            legendre.legvander(centres(size), DEGREE).astype(np.float32) for size in (height, width)
        )
        planes = []
        for band in self.coefficients:
            terms = np.zeros((DEGREE + 1, DEGREE + 1), np.float32)
            for (row, column), value in zip(TERMS, band, strict=True):
                terms[row, column] = value
            light = np.exp(rows @ terms @ columns.T)
            planes.append(light / light.mean(dtype=np.float64))
        return np.stack(planes, axis=2).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that :meth:`from_json` reads."""
        return {
            'channel': self.channel,
            'shape': list(self.shape),
            'coefficients': [list(band) for band in self.coefficients],
            'tiles': self.tiles,
            'pairs': self.pairs,
            'residual': self.residual,
            'before': self.before,
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> FlatField:
        """Return the field that :meth:`to_json` wrote."""
        height, width = document['shape']
        bands = tuple(tuple(band) for band in document['coefficients'])
        return cls(**{**document, 'shape': (height, width), 'coefficients': bands})


#: The estimated fields by channel.
Illumination = dict[int, FlatField]
