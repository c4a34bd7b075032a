"""What the margin losses compute in: an array library's own numbers, float64 for NumPy float32, pairs for float64.

The formulas of _margin_core.py are written once, with + - * / and the methods of these classes. `targets` is the
arithmetic for what belongs to the labels alone: N vectors, on which the margin and the directions of its gradient
depend, and which are worth pairs already in float32.
"""

import math

import numpy as np

from . import _margin_pairs as pairs
from ._margin_pairs import Pair
from ._margin_products import class_sums, power_above, product
from ._margin_rows import at_labels, corrected, cross_entropy

BLOCK = 2**14  # elements, of which some 20 arrays of 8 bytes fit a cache of 2 MB
COUPLES = 2**20  # elements, for a memory of some hundred MB at most
PARALLEL = 2.0**-25  # 1 - cos of the angle 2^-12


class Plain:
    """Arrays of any library in their own precision: lazy, without a branch on data, open to differentiation."""

    negligible = 0.0  # a polynomial's value that the rounding of its argument can make out of 0
    pi: float | Pair = math.pi

    def __init__(self, xp, eps):
        self.xp = xp
        self.noise = 4 * eps  # relative length of what rounding leaves of vectors that are parallel

    @property
    def targets(self):
        return self

    def number(self, array):
        return array

    def value(self, number):
        """The number as one array."""
        return number

    def scaled(self, number, power):
        """Times a power of two."""
        return number * power

    def transposed(self, number):
        return self.xp.matrix_transpose(number)

    def where(self, condition, a, b):
        return self.xp.where(condition, a, b)

    def sum(self, number):
        """Along the last axis, which is kept."""
        return self.xp.sum(number, axis=-1, keepdims=True)

    def sqrt(self, number):
        """With derivative 0 at 0, where differentiation would find infinity."""
        positive = number > 0
        return self.xp.where(positive, self.xp.sqrt(self.xp.where(positive, number, 1.0)), 0.0)

    def sin_cos(self, angle, limit):  # noqa: ARG002
        return self.xp.sin(angle), self.xp.cos(angle)

    def angle(self, sine, cosine):
        return self.xp.atan2(sine, cosine)

    def power(self, number):
        """A power of two that brings the largest entry of each row near 1; 1 for rows of zeros."""
        peak = self.xp.max(self.xp.abs(number), axis=-1, keepdims=True)
        usable = self.xp.isfinite(peak) & (peak > 0)
        # floor has derivative 0: to differentiation the scale is a constant.
        return 2.0 ** self.xp.floor(self.xp.log2(self.xp.where(usable, peak, 1.0)))

    def by_rows(self, function, *numbers):
        """function(*numbers) of (N, K) or (N, 1), each row of whose result depends on the same rows only."""
        return function(*numbers)

    def product(self, a, b):
        """a @ b.T."""
        return self.xp.matmul(a, self.xp.matrix_transpose(b))

    def class_sums(self, rows, labels, classes):
        at_label = self.xp.astype(at_labels(self.xp, labels, classes), rows.dtype)
        return self.xp.matmul(self.xp.matrix_transpose(at_label), rows)

    def parallel(self, logits, x, weight, others):  # noqa: ARG002
        """Positions (rows, columns) that deserve to be done one by one; which they are depends on data."""
        return ()

    def cross_entropy(self, logits, labels):
        return cross_entropy(logits, labels)

    def total(self, items, divisor):
        """The sum of all items, divided."""
        return self.xp.sum(items) / divisor


class Double(Plain):
    """NumPy float64, for float32 input."""

    precision = 36  # bits of a product; float32 has 24

    def __init__(self):
        super().__init__(np, 0.0)

    @property
    def targets(self):
        return Paired()

    def number(self, array):
        return pairs.pair(array).hi

    def power(self, number):
        return power_above(np.max(np.abs(number), axis=-1, keepdims=True, initial=0.0))

    def by_rows(self, function, *numbers):
        # So many rows at a time that their intermediate results stay in the cache.
        step = max(1, BLOCK // numbers[0].shape[1])
        starts = range(0, numbers[0].shape[0], step)
        return self.concat([function(*(number[j : j + step] for number in numbers)) for j in starts])

    def concat(self, parts):
        return np.concat(parts)

    def product(self, a, b):
        return product(a, b, self.precision).hi

    def class_sums(self, rows, labels, classes):
        return class_sums(rows, labels, classes).hi

    def parallel(self, logits, x, weight, others):
        # What is left of such vectors perpendicular to each other is lost in the rounding of a product of matrices.
        value = self.value
        limit = (value(x.length) * x.outer) * (value(weight.length) * weight.outer).T * (1.0 - PARALLEL)
        rows, columns = np.nonzero((np.abs(value(logits)) >= limit) & (others != 0.0))
        step = max(1, COUPLES // x.rows.shape[1])
        return [(rows[j : j + step], columns[j : j + step]) for j in range(0, len(rows), step)]

    def total(self, items, divisor):
        # fsum is exact, so the order of the items does not matter; scaled, so that it can not overflow.
        largest = float(np.max(items, initial=0.0))
        exponent = math.frexp(largest)[1] if math.isfinite(largest) else 0
        total = math.fsum(np.ldexp(items, -exponent).tolist())
        return np.ldexp(np.float64(total / divisor), exponent)


class Paired(Double):
    """Pairs of NumPy float64, for float64 input."""

    precision = 60
    negligible = 2.0**-96
    pi = Pair(math.pi, np.float64(math.sin(math.pi)))  # sin(pi - d) = d to the last digit

    @property
    def targets(self):
        return self

    number = staticmethod(pairs.pair)
    scaled = staticmethod(pairs.scaled)

    def value(self, number):
        return pairs.pair(number).hi

    where = staticmethod(pairs.where)
    sum = staticmethod(pairs.sum_last)
    sqrt = staticmethod(pairs.sqrt)
    sin_cos = staticmethod(pairs.sin_cos)
    angle = staticmethod(pairs.angle)
    class_sums = staticmethod(class_sums)

    def transposed(self, number):
        return number.T

    def power(self, number):
        return super().power(pairs.pair(number).hi)

    def concat(self, parts):
        return pairs.concat(parts)

    def product(self, a, b):
        return product(a, b, self.precision)

    def cross_entropy(self, logits, labels):
        # Relative to the peak, the low parts are small wherever the exponential is not 0, however large the logits.
        peak = np.argmax(logits.hi, axis=1)[:, None]
        logits = logits - Pair(*(np.take_along_axis(part, peak, axis=1) for part in (logits.hi, logits.lo)))
        return corrected(*cross_entropy(logits.hi, labels), logits.lo, labels)
