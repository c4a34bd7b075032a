"""Rows of gradients whose terms cancel are computed again, in finer numbers, until enough of their digits are right."""

from abc import ABC, abstractmethod

import numpy as np

from . import _native
from ._margin_core import evaluate
from ._margin_numbers import Plain

ENOUGH = 28  # ulp of the largest entry of a row, where 32 are promised
KNOWN = 0.25  # error of a logit, beyond which nothing is known of a probability
DEVIATIONS = 3  # root mean squares of a sum of independent errors, of bounds that these rarely reach by half


class Refined(Plain, ABC):
    """Numbers that know their errors, for gradients with the dtype's precision."""

    rounding = 0.0  # relative error of a probability whose logits are exact
    angle_bits = 0  # log2 of the absolute error of the sine and the cosine of an angle
    at_pi = 2.0**-85  # what pairs make of 0 at most; the same for all, which must not differ on which side an angle is
    lift = 0  # coefficients are probabilities times 2^lift
    wanted = None  # masks of the rows of the gradients for x and for weight that are needed, if not all are

    def __init__(self, dtype):
        super().__init__(np, 0.0)
        self.dtype = dtype

    @abstractmethod
    def finer(self, error):
        """Numbers for where an error of the size `error` is too much; None if there are none."""

    @abstractmethod
    def logit_bits(self, reach):
        """To which logits up to `reach`, (N,), are good: integers."""

    def product_error(self, terms, whole):  # noqa: ARG002
        """Of sums of so many terms, relative to the lengths of the two rows that are multiplied."""
        return 0.0

    def lost(self, amplification, least, subnormal):  # noqa: ARG002
        """What a coefficient may be off by because the numbers end there, if that could show once amplified.

        Probabilities are multiplied by powers of two, no less than `least`; where `subnormal`, some are next to the
        least of all numbers.
        """
        return np.zeros_like(amplification)

    def counts(self, error, limit):
        """Where an error is too much, or nobody knows how much it is."""
        return ~(error <= limit)

    def terms(self, *what):
        return Terms(self, *what)

    def peak(self, rows):
        """The largest magnitude in each row."""
        return np.abs(self.value(rows)).max(axis=1)


class Terms:
    """How far off the terms are that the rows of both gradients are sums of: coefficients times vectors, and own parts.

    Parameters
    ----------
    ar : Refined
        The arithmetic.
    others : array or number
        The coefficients, (N, C).
    own : list
        Further parts, where `others` has zeros: those for x, those for weight, their rows (None: all), their columns
        and their coefficients.
    targets : Couples
        The first of these.
    sides, vectors : tuple
        Of x and of weight.
    """

    def __init__(self, ar, others, own, targets, sides, vectors):
        self.ar, self.slopes = ar, [side.slope for side in sides]
        sizes = np.abs(ar.value(others))
        # The largest logits of each row, which no double may hold; by steps that are the same on every machine.
        (mantissa, exponent), (other, more) = np.frexp(sides[0].reach), np.frexp(sides[1].reach.max())
        mantissa, exponent = mantissa * other, exponent + more
        bits = ar.logit_bits(np.ldexp(mantissa, exponent))
        logit = np.ldexp(mantissa, exponent - bits) + np.ldexp(mantissa, exponent + targets.amplifies + ar.angle_bits)
        subnormal = sizes < 2.0**-1022
        subnormal &= sizes > 0.0
        self.errors = self.relative(sizes, logit[:, None])
        self.errors *= sizes
        self.rows = _joined([np.arange(len(logit)) if part[2] is None else part[2] for part in own])
        self.columns = _joined([part[3] for part in own])
        relative = self.relative(_joined([ar.peak(part[4]) for part in own]), logit[self.rows])
        self.own = [_joined([ar.peak(part[side]) for part in own]) * relative for side in (0, 1)]
        for one, slip in zip(self.own, targets.slips(own[0][-1], ar.angle_bits), strict=True):
            one[: len(slip)] += slip
        unknown = ~(logit < KNOWN)
        self.errors[unknown] = 2.0**ar.lift  # anything is possible

        peaks = [ar.peak(v) for v in vectors]
        self.given = [np.isfinite(peaks[0]) & np.isfinite(peaks[1]).all(), np.isfinite([p.max() for p in peaks]).all()]
        self.left, self.right = (
            peak if side.outer is None else peak * side.outer[:, 0] for peak, side in zip(peaks, sides, strict=True)
        )
        if unknown.any():
            for one, most in zip(self.own, (self.right[self.columns], self.left[self.rows]), strict=True):
                one[unknown[self.rows]] = (most * 2.0**ar.lift)[unknown[self.rows]]
        found = _native.term_sizes(self.errors, self.left, self.right, self.rows, self.columns, *self.own)
        self.sums, self.more = [sums for sums, _ in found], []
        # A row of coefficients is no longer than the root of its sum times its largest; what it multiplies no longer
        # than the root of the number of terms times the largest entry of a vector.
        for side, (sums, most) in enumerate(found):
            spread, terms = peaks[1 - side].max() / peaks[1 - side].min(), self.errors.shape[1 - side]
            vector = (self.right, self.left)[side].max()
            outer = sides[1 - side].outer
            least = 1.0 if outer is None else outer.min()  # of the powers of two in the coefficients
            self.more.append(ar.lost(vector * self.slopes[side], least, subnormal.any(axis=1 - side)) * vector)
            product = ar.product_error(terms, side == 1)
            if product:
                self.more[side] = self.more[side] + product * spread * np.sqrt(sums) * np.sqrt(most)

    def relative(self, sizes, logit):
        """Errors of coefficients. As d p = p (d z - sum of p d z), what is next to 1 does not move."""
        free = np.abs(1.0 - sizes * 2.0**-self.ar.lift)
        free *= 2.0 * logit
        free += self.ar.rounding
        return free

    def doubtful(self, gradients):
        """Masks of the rows of both gradients with errors that count, and how large those may be."""
        doubts, largest = [], 0.0
        for side, gradient in enumerate(gradients):
            limit = ENOUGH * np.spacing(np.abs(gradient).max(axis=1).astype(self.ar.dtype)).astype(np.float64)
            error = self.bound(side, self.sums[side], slice(None))
            index = np.flatnonzero(self.ar.counts(error, limit) & self.given[side])
            if len(index):
                error[index] = self.bound(side, self.independent(side, index), index)
            doubts.append(self.ar.counts(error, limit) & self.given[side])
            if self.ar.wanted is not None:
                doubts[side] &= self.ar.wanted[side]
            largest = max(largest, np.max(error, initial=0.0, where=doubts[-1]))
        return doubts, largest

    def bound(self, side, sums, index):
        """Of rows of a gradient, from the errors of the sums that they are made of."""
        bound = sums + self.more[side][index]
        return np.where(bound == 0.0, 0.0, bound * self.slopes[side][index] * 2.0**-self.ar.lift)

    def independent(self, side, index):
        """The errors of some sums, if those of different terms are independent; equal terms have equal errors."""
        if side == 0:
            terms, places, others = self.errors[index] * self.right, self.rows, self.columns
        else:
            terms, places, others = self.errors[:, index].T * self.left, self.columns, self.rows
        found = np.flatnonzero(np.isin(places, index))
        terms[np.searchsorted(index, places[found]), others[found]] = self.own[side][found]
        peak = np.max(terms, axis=1, keepdims=True)
        terms = np.sort(terms / peak, axis=1)  # and so the order of the terms counts no more
        first = np.ones(terms.shape, bool)
        first[:, 1:] = terms[:, 1:] != terms[:, :-1]
        starts = np.flatnonzero(first)
        equal = np.add.reduceat(terms.ravel(), starts)
        squares = np.add.reduceat(equal * equal, np.searchsorted(starts, np.arange(len(terms)) * terms.shape[1]))
        error = DEVIATIONS * np.sqrt(squares) * peak[:, 0]
        # A sum of magnitudes that is less, or where this is not a number, stands.
        return np.where(error < self.sums[side][index], error, self.sums[side][index])


def _joined(parts):
    return parts[0] if len(parts) == 1 else np.concat(parts)


def refined(ar, x, weight, labels, *options):
    """As `evaluate`, with gradients as good as is promised; those of finer numbers only in the rows that are wanted."""
    with ar.working():
        items, gradients, terms = evaluate(ar, x, weight, labels, *options)
    if terms is None:
        return items, *gradients
    (rows, classes), error = terms.doubtful(gradients)
    finer = ar.finer(error) if rows.any() or classes.any() else None
    if finer is not None:
        taken = slice(None) if classes.any() else rows  # the gradient of a class needs all rows
        finer.wanted = rows[taken], classes
        _, again_x, again_weight = refined(finer, x[taken], weight, labels[taken], *options)
        grad_x, grad_weight = gradients
        grad_x[rows] = again_x[rows[taken]]
        grad_weight[classes] = again_weight[classes]
    return items, *gradients
