"""Rows of gradients whose terms cancel are computed again, in finer numbers, until enough of their digits are right."""

import numpy as np

from . import _native
from ._margin_core import evaluate
from ._margin_numbers import Plain

ENOUGH = 24  # ulp of the largest entry of a row, where 32 are promised
TINY = 2.0**-1022
DEVIATIONS = 4  # root mean squares of a sum of independent errors, of bounds that these rarely reach by half


class Refined(Plain):
    """Numbers that know their errors, for gradients with the dtype's precision."""

    lift = 0  # coefficients are probabilities times 2^lift

    def __init__(self, dtype):
        super().__init__(np, 0.0)
        self.dtype = dtype

    def finer(self, error, wanted):
        """Numbers for the rows `wanted` of both gradients, where an error of the size `error` is too much."""
        raise NotImplementedError

    def error(self, reach):
        """Of a probability, relative, where logits are at most `reach`, (N,)."""
        raise NotImplementedError

    def product_error(self, terms, whole):  # noqa: ARG002
        """Of sums of so many terms, relative to the lengths of the two rows that are multiplied."""
        return 0.0

    def lost(self, amplification):  # noqa: ARG002
        """What a coefficient may be off by because the numbers end there, if that could show once amplified."""
        return 0.0

    def counts(self, error, limit):
        """Where an error is too much: nothing can go wrong in finer numbers that has not come here before."""
        return ~(error <= limit)

    def terms(self, *what):
        return Terms(self, *what)

    def peak(self, rows):
        """The largest magnitude in each row."""
        return np.max(np.abs(self.value(rows)), axis=1)

    def reach(self, side):
        """The length of each vector as a logit sees it, (N,)."""
        return self.value(side.outwards(side.norm * 0.0 + side.length))[:, 0]


class Terms:
    """What the rows of both gradients are sums of: coefficients times vectors, and parts of their own.

    Parameters
    ----------
    ar : Refined
        The arithmetic.
    others : array or number
        The coefficients, (N, C).
    own : list
        Further parts, where `others` has zeros: those for x, those for weight, their rows (None: all) and columns.
    slips : tuple
        Absolute errors of the first N of these, for x and for weight, and of the logits at the labels, (N,) each.
    sides, vectors : tuple
        Of x and of weight.
    """

    def __init__(self, ar, others, own, slips, sides, vectors):
        self.ar, self.values = ar, np.ascontiguousarray(np.abs(ar.value(others)))
        self.slopes = [side.slope for side in sides]
        error = ar.error(ar.reach(sides[0]) * np.max(ar.reach(sides[1]))) + slips[2]
        peaks = [ar.peak(v) for v in vectors]
        left, right = (
            peak if side.outer is None else peak * side.outer[:, 0] for peak, side in zip(peaks, sides, strict=True)
        )
        # The error of a row is a factor of its terms in the columns; the sum of the row is multiplied by it in the end.
        self.error, self.left, self.right = error, left * error, right
        self.rows = np.concat([np.arange(len(error)) if index is None else index for _, _, index, _ in own])
        self.columns = np.concat([index for *_, index in own])
        self.in_rows, self.in_columns = (np.concat([ar.peak(part[side]) for part in own]) for side in (0, 1))
        self.in_columns *= error[self.rows]
        self.in_rows[: len(error)] += slips[0] / np.maximum(error, TINY)
        self.in_columns[: len(error)] += slips[1]
        sizes = _native.term_sizes(
            self.values, self.left, self.right, self.rows, self.columns, self.in_rows, self.in_columns
        )
        self.sums = [sizes[0][0] * error, sizes[1][0]]
        # A row of coefficients is no longer than the root of its sum times its largest; what it multiplies no longer
        # than the root of the number of terms times the largest entry of a vector.
        lengths = [np.sqrt(total) * np.sqrt(most) for total, most in sizes]
        spread = [np.max(peak) / np.min(peak) for peak in peaks]
        products = [ar.product_error(len(right), False) * lengths[0] * spread[1]]
        products.append(ar.product_error(len(left), True) * lengths[1] * spread[0] / max(np.min(error), TINY))
        self.more = [
            product + ar.lost(np.max(most) * slope) * np.max(most)
            for product, most, slope in zip(products, (right, left), self.slopes, strict=True)
        ]

    def doubtful(self, gradients):
        """Masks of the rows of both gradients with errors that count, and how large those may be."""
        doubts, largest = [], 0.0
        for side, gradient in enumerate(gradients):
            ulp = np.spacing(np.max(np.abs(gradient), axis=1).astype(self.ar.dtype)).astype(np.float64)
            error = self.bound(side, self.sums[side], slice(None))
            index = np.flatnonzero(self.ar.counts(error, ENOUGH * ulp))
            if len(index):
                error[index] = self.bound(side, self.independent(side, index), index)
            doubts.append(self.ar.counts(error, ENOUGH * ulp))
            largest = max(largest, np.max(error, initial=0.0, where=doubts[-1]))
        return doubts, largest

    def bound(self, side, sums, index):
        return (sums + self.more[side][index]) * self.slopes[side][index] * 2.0**-self.ar.lift

    def independent(self, side, index):
        """The errors of some sums, if those of different terms are independent; equal terms have equal errors."""
        if side == 0:
            terms, places, others, own = self.values[index] * self.right, self.rows, self.columns, self.in_rows
        else:
            terms, places, others, own = self.values[:, index].T * self.left, self.columns, self.rows, self.in_columns
        found = np.flatnonzero(np.isin(places, index))
        terms[np.searchsorted(index, places[found]), others[found]] = own[found]
        peak = np.max(terms, axis=1, keepdims=True)
        terms = np.sort(terms / peak, axis=1)  # and so the order of the terms counts no more
        first = np.ones(terms.shape, bool)
        first[:, 1:] = terms[:, 1:] != terms[:, :-1]
        starts = np.flatnonzero(first)
        equal = np.add.reduceat(terms.ravel(), starts)
        squares = np.add.reduceat(equal * equal, np.searchsorted(starts, np.arange(len(terms)) * terms.shape[1]))
        error = np.minimum(self.sums[side][index], DEVIATIONS * np.sqrt(squares) * peak[:, 0] * self.unit(side, index))
        return np.where(np.isfinite(error), error, self.sums[side][index])

    def unit(self, side, index):
        return self.error[index] if side == 0 else 1.0


def refined(ar, x, weight, labels, *options, wanted=None):
    """As `evaluate`, with gradients as good as is promised; for finer numbers only in the rows `wanted` of both."""
    with ar.working():
        items, gradients, terms = evaluate(ar, x, weight, labels, *options)
    if terms is None:
        return items, *gradients
    (rows, classes), error = terms.doubtful(gradients)
    if wanted is not None:
        rows, classes = rows & wanted[0], classes & wanted[1]
    if rows.any() or classes.any():
        taken = slice(None) if classes.any() else rows  # the gradient of a class needs all rows
        wanted = rows[taken], classes
        _, again_x, again_weight = refined(
            ar.finer(error, wanted), x[taken], weight, labels[taken], *options, wanted=wanted
        )
        grad_x, grad_weight = gradients
        grad_x[rows] = again_x[rows[taken]]
        grad_weight[classes] = again_weight[classes]
    return items, *gradients
