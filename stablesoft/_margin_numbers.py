"""What the margin losses compute in: an array library's own numbers.

The formulas of _margin_core.py are written once, with + - * / and the methods of this class. Others follow it for the
float32 and float64 of NumPy: pairs of doubles (_margin_pairs.py) and Decimals (_margin_decimals.py).
"""

import math
from contextlib import nullcontext
from typing import Any

from array_api_compat import device

from ._losses import softmax_cross_entropy


def at_labels(xp, labels, classes):
    """(N, C), True at the label of each row."""
    return xp.arange(classes, device=device(labels), dtype=labels.dtype)[None, :] == labels[:, None]


class Plain:
    """Arrays of any library in their own precision: lazy, without a branch on data, open to differentiation."""

    at_pi = 0.0  # what is no nearer to pi is below it
    negligible = 0.0  # a polynomial's value that the rounding of its argument can make out of 0
    pi: Any = math.pi  # a number

    def __init__(self, xp, eps):
        self.xp = xp
        self.noise = 4 * eps  # relative length of what rounding leaves of vectors that are parallel

    def working(self):
        """A context for everything that is computed."""
        return nullcontext()

    def terms(self, others, own, targets, sides, vectors):  # noqa: ARG002
        """What the gradients are sums of: None, where nothing is done about their errors."""
        return None

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

    def dot(self, a, b):
        """Sums of products along the last axis, which is kept."""
        return self.sum(a * b)

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
        at_pivot = at_labels(self.xp, self.xp.argmax(self.xp.abs(self.value(rows)), axis=-1), rows.shape[1])
        row_pivot, v_pivot = (self.sum(self.where(at_pivot, w, 0.0)) for w in (rows, v))
        oblique = (v * row_pivot - rows * v_pivot) / row_pivot
        along = self.sum(oblique * rows) / (norm * norm)
        return (oblique - rows * along) * power

    def direction(self, v, whole):
        """Unit vectors along the rows of v and the rows' lengths; 0 for what is noise beside the length `whole`."""
        power = self.power(v)
        v = v / power
        norm = self.sqrt(self.sum(v * v))
        present = self.value(norm * power / whole) > self.noise
        unit = self.where(present, v / self.where(present, norm, 1.0), 0.0)
        return unit, self.where(present, norm, 0.0) * power

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
