"""Rows of gradients whose terms cancel are computed again, in finer numbers, until enough of their digits are right."""

import numpy as np

from . import _native
from ._margin_core import evaluate
from ._margin_numbers import Plain

ENOUGH = 16  # ulp of the largest entry of a row: half of what is promised


class Refined(Plain):
    """Numbers that know their errors, for gradients with the dtype's precision."""

    def __init__(self, dtype):
        super().__init__(np, 0.0)
        self.dtype = dtype

    def finer(self):
        """What to compute in where this is not good enough."""
        raise NotImplementedError

    def error(self, others, x, weight):
        """Of the terms in a row of the gradient for x, relative to them, (N,)."""
        raise NotImplementedError

    def errors(self, others, own, x, weight, vectors):
        """Of the rows of both gradients, (N,) and (C,).

        `others` are the coefficients of the vectors of both sides; `own` are parts for each side with their rows and
        columns, where `others` has zeros.
        """
        error = self.error(others, x, weight)
        rows = np.concat([np.arange(len(error)) if index is None else index for _, _, index, _ in own])
        columns = np.concat([index for *_, index in own])
        in_rows, in_columns = (np.concat([self.peak(parts[side]) for parts in own]) for side in (0, 1))
        left, right = (
            self.peak(v) if side.outer is None else self.peak(v) * side.outer[:, 0]
            for v, side in zip(vectors, (x, weight), strict=True)
        )
        in_rows, in_columns = _native.sum_errors(
            self.value(others), left * error, right, rows, columns, in_rows, in_columns * error[rows]
        )
        return in_rows * error * x.slope, in_columns * weight.slope

    def peak(self, rows):
        """The largest magnitude in each row."""
        return np.max(np.abs(self.value(rows)), axis=1)

    def doubtful(self, gradient, error):
        """Rows with an error that counts, (N,)."""
        ulp = np.spacing(np.max(np.abs(gradient), axis=1).astype(self.dtype))
        return np.isfinite(error) & (error > ENOUGH * ulp.astype(np.float64))


def refined(ar, x, weight, labels, *options, wanted=(True, True)):
    """As `evaluate`, with gradients as good as is promised. Only the rows `wanted` of each need be."""
    with ar.working():
        items, gradients, errors = evaluate(ar, x, weight, labels, *options)
    if errors is None:
        return items, *gradients
    (grad_x, grad_weight), (rows, classes) = gradients, (
        wish & ar.doubtful(*of) for wish, *of in zip(wanted, gradients, errors, strict=True)
    )
    if rows.any() or classes.any():
        taken = slice(None) if classes.any() else rows  # the gradient of a class needs all rows
        _, *again = refined(ar.finer(), x[taken], weight, labels[taken], *options, wanted=(rows[taken], classes))
        grad_x[rows] = again[0][rows[taken]]
        grad_weight[classes] = again[1][classes]
    return items, grad_x, grad_weight
