"""Pairs of doubles, compiled: what the margin losses compute in for NumPy's float32 and float64."""

import math

import numpy as np

from . import _native
from ._margin_decimals import Decimals
from ._margin_products import BITS, class_sums, levels_of, product
from ._margin_refined import Refined
from ._native import Pair

COUPLES = 2**20  # elements, for a memory of some hundred MB at most
PARALLEL = 2.0**-25  # 1 - cos of the angle 2^-12
AMPLIFIED = 2.0**20  # what is less than the least double stays below 1e-300
LEAST = 2.0**-900  # power of two of vectors: times a probability it may come next to the least double
PARTS = 2**12  # of the gradient of one vector that are done one by one: with more, their order would count
DIGITS = 100  # of the first Decimals
LARGE = (2.0**11, 2.0**7)  # logits that want a level more than float32 and float64 have


class Paired(Refined):
    """Pairs of doubles; `levels` is the precision of the products (_margin_products.product)."""

    angle_bits = -96
    negligible = 2.0**angle_bits
    pi = Pair(math.pi, math.sin(math.pi))  # sin(pi - d) = d to the last digit

    def __init__(self, dtype):
        super().__init__(dtype)
        self.levels = 1 if dtype == "float32" else 2
        self.rounding = 2.0**-32 if dtype == "float32" else 2.0**-52

    def finer(self, error):  # noqa: ARG002
        return AllPaired(self.dtype)

    def logit_bits(self, reach):
        bits = np.where(reach > LARGE[self.levels - 1], BITS[self.levels], BITS[self.levels - 1]).astype(np.intc)
        return np.minimum(bits, 51) if self.levels == 1 else bits  # of `lengthened`

    def product_error(self, terms, whole):
        return 0.5 ** BITS[levels_of(self.levels, terms, whole) - 1] * math.sqrt(terms) / self.rounding

    def lost(self, amplification, least, subnormal):
        if least < LEAST:
            return np.full_like(amplification, np.inf)
        # Where little is amplified, a probability that has become 0 would not be much in the result either.
        return np.where(amplification > np.where(subnormal, 16.0, AMPLIFIED), 2.0**-1073, 0.0)

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
        return x.reach * weight.reach.max() > LARGE[self.levels - 1]

    def with_labels(self, logits, labels, values):
        rows = np.arange(len(labels))
        logits.hi[rows, labels] = values.hi[:, 0]
        if self.levels > 1:
            logits.lo[rows, labels] = values.lo[:, 0]
        return logits

    def parallel(self, logits, labels, x, weight):
        # What is left of such vectors perpendicular to each other is lost in the rounding of a product of matrices.
        left, right = x.reach, weight.reach * (1.0 - PARALLEL)
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
        alone = labels[0] is None  # the sums of a row must not depend on how many there are
        labels = np.concat([np.arange(classes) if index is None else index for index in labels])
        present, index = np.unique(labels, return_inverse=True)
        place = np.full(classes, -1)
        place[present] = np.arange(len(present))
        sums = class_sums(rows, index, len(present), PARTS if alone else len(labels))
        if alone:
            single = np.flatnonzero(np.bincount(index) == 1)
            sums.hi[single], sums.lo[single] = parts[0].hi[single], parts[0].lo[single]
        return sums, place

    def combined(self, coefficients, vectors, x, weight):
        return self.product(self.number(coefficients), vectors, self.large(x, weight), across=(False, True))

    def combined_by_class(self, coefficients, vectors):
        return product(self.number(coefficients), vectors, self.levels, across=(True, True), whole=True)

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


class AllPaired(Paired):
    """Pairs for the products and the probabilities, too: for gradients and no losses, in the rows that are wanted."""

    lift = 800  # so that the low part of a probability of 2^-1700 is a number

    def __init__(self, dtype):
        super().__init__(dtype)
        self.levels, self.rounding = 2, 2.0**-90  # exponentials are good to 2^-92

    def finer(self, error):  # noqa: ARG002
        return Decimals(self.dtype, DIGITS)

    def logit_bits(self, reach):  # noqa: ARG002
        return 97  # products of pairs are good to 100 bits

    def product_error(self, terms, whole):  # noqa: ARG002
        return 0.0  # no more than that of a term

    def lost(self, amplification, least, subnormal):  # noqa: ARG002
        return np.where(amplification > 2.0**600, np.inf, 0.0)  # could show a probability below 2^-1700

    def logits(self, x, weight, x_vectors, weight_vectors):
        logits = _native.combined(x_vectors, weight_vectors.T)
        logits = logits if x.outer is None else logits.scaled(x.outer)
        return logits if weight.outer is None else logits.scaled(weight.outer.T)

    def cross_entropy(self, logits, labels, return_grad):  # noqa: ARG002
        return None, _native.softmax_others(logits, labels, self.lift)

    def combined(self, coefficients, vectors, x, weight):  # noqa: ARG002
        return self.combined_where(self.wanted[0], coefficients, vectors)

    def combined_by_class(self, coefficients, vectors):
        return self.combined_where(self.wanted[1], coefficients.T, vectors)

    def combined_where(self, wanted, coefficients, vectors):
        """Rows of coefficients times vectors where they are wanted, 0 elsewhere."""
        rows = coefficients[np.flatnonzero(wanted)]
        power = _native.row_power(rows.hi)
        part = _native.combined(rows.scaled(1.0 / power), vectors).scaled(power)
        result = Pair(*np.zeros((2, len(wanted), part.shape[1])))
        result.hi[wanted], result.lo[wanted] = part.hi, part.lo
        return result

    def tangent(self, others, target, side):
        down = 2.0**-self.lift
        before = np.where(side.power < 1.0, down, 1.0)  # or afterwards: neither step may leave the range of doubles
        slope = side.length / side.norm
        return _native.tangent(others, *target, side.rows.hi, side.norm, slope, before / side.power) * (down / before)

    def plus_target(self, others, target):
        return super().plus_target(others, target) * 2.0**-self.lift
