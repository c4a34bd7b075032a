"""What the margin losses compute in: an array library's own numbers, or pairs for float32 and float64 of NumPy.

The formulas of _margin_core.py are written once, with + - * / and the methods of these classes. Those of Paired are
compiled.
"""

import math

import numpy as np
from array_api_compat import device

from . import _native
from ._losses import softmax_cross_entropy
from ._margin_products import class_sums, product
from ._native import Pair

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

    def where(self, condition, a, b):
        return self.xp.where(condition, a, b)

    def take(self, number, index):
        """The rows at an index."""
        return self.xp.take(number, index, axis=0)

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

    def norm(self, rows):
        """The length of each row, (N, 1)."""
        return self.sqrt(self.sum(rows * rows))

    def lengthened(self, rows, factor):
        """Each row times a factor, (N, 1)."""
        return rows * factor

    def perpendicular(self, v, rows, norm):
        """The part of each row of v that is perpendicular to the row of length `norm`, exactly 0 where it is parallel.

        First the multiple of the row that cancels v at the row's largest entry is taken off. That needs only 2 by 2
        determinants, which keep all their digits at any angle and in every entry. What is left of the parallel part is
        then at most about sqrt(K) times the result.
        """
        power = self.power(v)
        v = v / power
        at_pivot = at_labels(self.xp, self.xp.argmax(self.xp.abs(rows), axis=-1), rows.shape[1])
        row_pivot, v_pivot = (self.sum(self.xp.where(at_pivot, w, 0.0)) for w in (rows, v))
        oblique = (v * row_pivot - rows * v_pivot) / row_pivot
        along = self.sum(oblique * rows) / (norm * norm)
        return (oblique - rows * along) * power

    def direction(self, v, whole):
        """Unit vectors along the rows of v and the rows' lengths; 0 for what is noise beside the length `whole`."""
        power = self.power(v)
        v = v / power
        norm = self.sqrt(self.sum(v * v))
        present = norm * power > self.noise * whole
        unit = self.xp.where(present, v / self.xp.where(present, norm, 1.0), 0.0)
        return unit, self.xp.where(present, norm, 0.0) * power

    def logits(self, x, weight, x_vectors, weight_vectors):
        """Of two sides and their vectors."""
        product = self.xp.matmul(x_vectors, self.xp.matrix_transpose(weight_vectors))
        product = product if x.outer is None else product * x.outer
        return product if weight.outer is None else product * self.xp.matrix_transpose(weight.outer)

    def with_labels(self, logits, labels, values):
        """The logits with values (N, 1) at the labels. The logits are not used again."""
        return self.xp.where(at_labels(self.xp, labels, logits.shape[1]), values, logits)

    def parallel(self, logits, labels, x, weight):  # noqa: ARG002
        """Positions (rows, columns) that deserve to be done one by one; which they are depends on data."""
        return ()

    def cross_entropy(self, logits, labels, return_grad):  # noqa: ARG002
        """-log p of the label of each row, (N,), and the gradient: p, with 0 for minus their sum at the label."""
        items, grad = softmax_cross_entropy(logits, labels, axis=1, reduction="none", return_grad=True)
        return items, self.xp.where(at_labels(self.xp, labels, logits.shape[1]), 0.0, grad)

    def gathered(self, parts, labels, classes):
        """Targets: the sum of the rows of each label. None stands for a label of its own for every row."""
        (rows,), (labels,) = parts, labels  # without `parallel` there is one part
        if labels is None:
            return rows
        at_label = self.xp.astype(at_labels(self.xp, labels, classes), rows.dtype)
        return self.xp.matmul(self.xp.matrix_transpose(at_label), rows)

    def combined(self, coefficients, vectors, x, weight):  # noqa: ARG002
        """Sums of the vectors of the classes with coefficients (N, C); x and weight are the two sides."""
        return self.xp.matmul(coefficients, vectors)

    def combined_by_class(self, coefficients, vectors):
        """Sums of the vectors of the rows with coefficients (N, C)."""
        return self.xp.matmul(self.xp.matrix_transpose(coefficients), vectors)

    def tangent(self, others, target, side):
        """What of `others` is perpendicular to the side's rows, and the target, through the normalisation: an array."""
        tangent = self.perpendicular(others, side.rows, side.norm) + target
        return tangent * (side.length / side.norm) / side.power

    def plus_target(self, others, target):
        """An array."""
        return others + target

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

    def where(self, condition, a, b):
        a, b = self.number(a), self.number(b)
        return Pair(np.where(condition, a.hi, b.hi), np.where(condition, a.lo, b.lo))

    def take(self, number, index):
        return number[index]

    def sum(self, number):
        return number.sum()

    def sin_cos(self, angle, limit):
        return angle.sin_cos(limit)

    def angle(self, sine, cosine):
        return sine.angle(cosine)

    def power(self, number):
        return _native.row_power(number)

    def norm(self, rows):
        return _native.norm(rows.hi)

    def lengthened(self, rows, factor):
        return rows * factor if self.levels > 1 else Pair(rows.hi * factor.hi)  # float32 has not that many digits

    def perpendicular(self, v, rows, norm):
        return _native.perpendicular(v, rows.hi, norm)

    def direction(self, v, whole):  # noqa: ARG002
        return _native.direction(v)  # pairs leave no noise: their residuals are right, or exactly 0

    def logits(self, x, weight, x_vectors, weight_vectors):
        return self.product(x_vectors, weight_vectors, self.large(x, weight), x.outer, weight.outer)

    def product(self, a, b, large, left=None, right=None, across=(False, False)):
        """a @ b.T (_margin_products.product), with one level more for the rows of a that are `large`."""
        if not large.any():
            return product(a, b, self.levels, left, right, across)
        parts = []
        for levels, rows in ((self.levels, np.flatnonzero(~large)), (self.levels + 1, np.flatnonzero(large))):
            if len(rows):
                part = product(a[rows], b, levels, None if left is None else left[rows], right, across)
                parts.append((rows, part))
        result = _native.empty_pairs(len(large), parts[0][1].shape[1], self.levels > 1)
        for rows, part in parts:
            result.hi[rows] = part.hi
            if self.levels > 1:
                result.lo[rows] = part.lo
        return result

    def large(self, x, weight):
        """(N,), where logits may be large.

        An error in a logit is one in its exponential, whatever the logit's size is. And classes among which large
        logits leave a choice are close together, so that most of their gradient for x cancels. Which rows these are
        does not depend on the other rows of the batch.
        """
        return self.reach(x) * np.max(self.reach(weight)) > LARGE[self.levels - 1]

    def reach(self, side):
        """The length of each vector as a logit sees it, (N,)."""
        return self.value(side.outwards(side.norm * 0.0 + side.length))[:, 0]

    def with_labels(self, logits, labels, values):
        rows = np.arange(len(labels))
        logits.hi[rows, labels] = values.hi[:, 0]
        if self.levels > 1:
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

    def cross_entropy(self, logits, labels, return_grad):
        return _native.margin_rows(logits, labels, return_grad)

    def gathered(self, parts, labels, classes):
        """The sums, and where that of each class stands among them, -1 for classes without a row."""
        if len(parts) == 1 and labels[0] is None:
            return parts[0], np.arange(classes)
        rows = Pair(*(np.concat(half) for half in ([part.hi for part in parts], [part.lo for part in parts])))
        labels = np.concat([np.arange(classes) if index is None else index for index in labels])
        present, index = np.unique(labels, return_inverse=True)
        place = np.full(classes, -1)
        place[present] = np.arange(len(present))
        return class_sums(rows, index, len(present)), place

    def combined(self, coefficients, vectors, x, weight):
        return self.product(Pair(coefficients), vectors, self.large(x, weight), across=(False, True))

    def combined_by_class(self, coefficients, vectors):
        return product(Pair(coefficients), vectors, self.levels, across=(True, True), whole=True)

    def tangent(self, others, target, side):
        return _native.tangent(others, *target, side.rows.hi, side.norm, side.length / side.norm, 1.0 / side.power)

    def plus_target(self, others, target):
        sums, place = target
        rows = np.flatnonzero(place >= 0)
        others.hi[rows] = (others[rows] + sums[place[rows]]).hi
        return others.hi

    def total(self, items, divisor):
        # fsum is exact, so the order of the items does not matter; scaled, so that it can not overflow.
        if not np.all(np.isfinite(items)):
            return np.sum(items)
        exponent = math.frexp(np.max(items, initial=0.0))[1]
        total = math.fsum(np.ldexp(items, -exponent).tolist())
        return np.ldexp(np.float64(total / divisor), exponent)
