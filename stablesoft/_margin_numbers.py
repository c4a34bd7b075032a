"""What the margin losses compute in: an array library's own numbers, or pairs for float32 and float64 of NumPy.

The formulas of _margin_core.py are written once, with + - * / and the methods of these classes. Those of Paired are
compiled.
"""

import math

import numpy as np
from array_api_compat import device

from . import _native
from ._losses import softmax_cross_entropy
from ._margin_products import class_sums, power_above, product, row_power
from ._native import Pair

BLOCK = 2**15  # elements, of which some arrays of 16 bytes fit a cache of 2 MB
COUPLES = 2**20  # elements, for a memory of some hundred MB at most
PARALLEL = 2.0**-25  # 1 - cos of the angle 2^-12
LARGE = (2.0**11, 2.0**7)  # logits that want a level more than float32 and float64 have


def at_labels(xp, labels, classes):
    """(N, C), True at the label of each row."""
    return xp.arange(classes, device=device(labels), dtype=labels.dtype)[None, :] == labels[:, None]


class Plain:
    """Arrays of any library in their own precision: lazy, without a branch on data, open to differentiation."""

    negligible = 0.0  # a polynomial's value that the rounding of its argument can make out of 0
    pi: float | Pair = math.pi

    def __init__(self, xp, eps):
        self.xp = xp
        self.noise = 4 * eps  # relative length of what rounding leaves of vectors that are parallel

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

    def entry(self, number, index):
        """The number at the index in each row, (N, 1)."""
        return self.sum(self.where(at_labels(self.xp, index, number.shape[1]), number, 0.0))

    def with_labels(self, logits, labels, values):
        """The logits with values (N, 1) at the labels. The logits are not used again."""
        return self.xp.where(at_labels(self.xp, labels, logits.shape[1]), values, logits)

    def product(self, a, b, left=None, right=None):
        """a @ b.T, and that times powers of two: (N, 1) for rows, (C, 1) for columns."""
        product = self.xp.matmul(a, self.xp.matrix_transpose(b))
        product = product if left is None else product * left
        return product if right is None else product * self.xp.matrix_transpose(right)

    def logits(self, x, weight, x_vectors, weight_vectors):
        """Of two sides and their vectors."""
        return self.product(x_vectors, weight_vectors, x.outer, weight.outer)

    def class_sums(self, rows, labels, classes):
        at_label = self.xp.astype(at_labels(self.xp, labels, classes), rows.dtype)
        return self.xp.matmul(self.xp.matrix_transpose(at_label), rows)

    def parallel(self, logits, labels, x, weight):  # noqa: ARG002
        """Positions (rows, columns) that deserve to be done one by one; which they are depends on data."""
        return ()

    def cross_entropy(self, logits, labels, return_grad):  # noqa: ARG002
        """-log p_y of each row, (N,), and the gradient: p, and 0 at the label, which has minus the sum of the others."""
        items, grad = softmax_cross_entropy(logits, labels, axis=1, reduction="none", return_grad=True)
        return items, self.xp.where(at_labels(self.xp, labels, logits.shape[1]), 0.0, grad)

    def total(self, items, divisor):
        """The sum of all items, divided."""
        return self.xp.sum(items) / divisor


class Paired(Plain):
    """Pairs of doubles; `levels` is the precision of the products (_margin_products.product)."""

    negligible = 2.0**-96
    pi = Pair(math.pi, math.sin(math.pi))  # sin(pi - d) = d to the last digit

    def __init__(self, levels):
        super().__init__(np, 0.0)
        self.levels = levels

    def number(self, array):
        return array if isinstance(array, Pair) else Pair(array)

    def value(self, number):
        return number.hi if isinstance(number, Pair) else number

    def scaled(self, number, power):
        return number.scaled(power)

    def transposed(self, number):
        return number.T

    def where(self, condition, a, b):
        a, b = self.number(a), self.number(b)
        return Pair(np.where(condition, a.hi, b.hi), np.where(condition, a.lo, b.lo))

    def sum(self, number):
        return number.sum()

    def sqrt(self, number):
        return number.sqrt()

    def sin_cos(self, angle, limit):
        return angle.sin_cos(limit)

    def angle(self, sine, cosine):
        return sine.angle(cosine)

    def power(self, number):
        return row_power(self.value(number))

    def entry(self, number, index):
        return number[np.arange(len(index)), index, None]

    def by_rows(self, function, *numbers):
        # So many rows at a time that their intermediate results stay in the cache.
        n, k = numbers[0].shape
        step = max(1, BLOCK // k)
        if step >= n:
            return function(*numbers)
        return self.concat([function(*(number[j : j + step] for number in numbers)) for j in range(0, n, step)])

    def concat(self, parts):
        if isinstance(parts[0], Pair):
            return Pair(np.concat([part.hi for part in parts]), np.concat([part.lo for part in parts]))
        return np.concat(parts)

    def product(self, a, b, left=None, right=None):
        return product(self.number(a), self.number(b), self.levels, left, right)

    def logits(self, x, weight, x_vectors, weight_vectors):
        # An error in a logit is one in the gradient, whatever the logit's size is: where it may be large, it is to have
        # more digits. Which rows these are does not depend on the other rows of the batch.
        large = self.reach(x) * np.max(self.reach(weight)) > LARGE[self.levels - 1]
        logits = _native.empty_pairs(len(large), weight.rows.shape[0], self.levels > 1)
        for levels, rows in ((self.levels, ~large), (self.levels + 1, large)):
            if rows.any():
                outer = None if x.outer is None else x.outer[rows]
                part = product(x_vectors[rows], weight_vectors, levels, outer, weight.outer)
                logits.hi[rows] = part.hi
                if self.levels > 1:
                    logits.lo[rows] = part.lo
        return logits

    def class_sums(self, rows, labels, classes):
        return class_sums(rows, labels, classes)

    def with_labels(self, logits, labels, values):
        rows = np.arange(len(labels))
        logits.hi[rows, labels] = values.hi[:, 0]
        if logits.lo.ndim:
            logits.lo[rows, labels] = values.lo[:, 0]
        return logits

    def parallel(self, logits, labels, x, weight):
        # What is left of such vectors perpendicular to each other is lost in the rounding of a product of matrices.
        left, right = self.reach(x), self.reach(weight) * (1.0 - PARALLEL)
        rows = _native.reached(logits.hi, left, right)
        within, columns = np.nonzero(np.abs(logits.hi[rows]) >= left[rows, None] * right)
        rows = rows[within]
        others = columns != labels[rows]
        rows, columns = rows[others], columns[others]
        step = max(1, COUPLES // x.rows.shape[1])
        return [(rows[j : j + step], columns[j : j + step]) for j in range(0, len(rows), step)]

    def reach(self, side):
        """The length of each vector as a logit sees it, (N,)."""
        return self.value(side.outwards(side.norm * 0.0 + side.length))[:, 0]

    def cross_entropy(self, logits, labels, return_grad):
        return _native.margin_rows(logits, labels, return_grad)

    def total(self, items, divisor):
        # fsum is exact, so the order of the items does not matter; scaled, so that it can not overflow.
        largest = float(np.max(items, initial=0.0))
        exponent = math.frexp(largest)[1] if math.isfinite(largest) else 0
        total = math.fsum(np.ldexp(items, -exponent).tolist())
        return np.ldexp(np.float64(total / divisor), exponent)
