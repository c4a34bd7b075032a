"""Masked arrays in the losses: what is masked does not take part, and the mask comes back.

A masked logit is no class of its row. A row without a label, or without any logit, is ignored. Masked arrays are
NumPy's, so all of this is NumPy, too.
"""

import math

import numpy as np

from ._loss_arguments import check_labels


def split(value):
    """The array behind a masked array and its mask; anything else as it is, and None."""
    if isinstance(value, np.ma.MaskedArray):
        return value.data, np.ma.getmaskarray(value)
    return value, None


def join(result, mask):
    """A result with its mask, a scalar for no dimensions; without a mask as it is."""
    return result if mask is None else np.ma.MaskedArray(result, mask=mask)[()]


def either(*masks):
    """Where one of these masks is set; None where there are none."""
    given = [mask for mask in masks if mask is not None]
    return np.logical_or.reduce(given) if given else None


def _weights_and_sum(weight, labels):
    """Weights brought near 1, which a weighted mean does not see, and their sum over the labels.

    As in the kernels it is NaN where weights cancel: over them there is no mean.
    """
    taken = weight[labels]
    largest = np.max(np.abs(taken), where=np.isfinite(taken), initial=0.0)
    with np.errstate(all="ignore"):
        weight = np.ldexp(weight, -np.frexp(largest)[1])
    taken = weight[labels]
    with np.errstate(all="ignore"):
        total = math.fsum(taken) if np.all(np.isfinite(taken)) else float(np.sum(taken))
    return weight, total or (math.nan if np.any(taken) else 0.0)


def masked_softmax_loss(answer, xp, x, axis, labels, targets, hidden, missing, *, ignored, reduction, return_grad,
                        weight=None, weighs=False, smoothing=0.0, divisor=None, name="labels", given=None, **options):
    """Have `answer`, which knows no masks, answer a call in normal form that has some."""
    hidden = np.zeros(x.shape, bool) if hidden is None else hidden
    rows = ~np.all(hidden, axis=axis)  # that take part
    if missing is not None:
        rows &= ~(missing if targets is None else np.all(missing, axis=axis))
    counts = rows
    if targets is None:
        check_labels(xp, labels, x.shape[axis], ignored, name, given, rows)
        counts = rows if ignored is None else rows & (labels != ignored)
        labels, ignored = np.where(counts, labels.astype(np.int64), -1), -1  # checked, so that -1 is none of them
        if smoothing:
            if divisor is None and reduction == "mean" and weighs and weight is not None:
                weight, divisor = _weights_and_sum(weight, labels[counts])
            targets = np.moveaxis(labels[..., None] == np.arange(x.shape[axis]), -1, axis)
    elif missing is not None:
        targets = np.where(missing, 0.0, targets)
    if targets is not None:
        labels = ignored = None
        if smoothing:  # over the classes that the row has
            share = smoothing / np.maximum(np.sum(~hidden, axis=axis, keepdims=True), 1)
            targets = (1.0 - smoothing) * targets + np.where(hidden, 0.0, share)
        targets = np.where(np.expand_dims(counts, axis), targets, 0.0).astype(x.dtype)
        divisor = float(np.sum(counts)) if divisor is None else divisor
    result = answer(xp, np.where(hidden, -math.inf, x), axis, labels, targets, ignored=ignored, reduction=reduction,
                    return_grad=return_grad, weight=weight, weighs=weighs, divisor=divisor, **options)  # fmt: skip
    loss, *grad = result if return_grad else (result,)
    loss = join(loss, ~rows) if reduction == "none" else loss
    if not return_grad:
        return loss
    return loss, np.ma.MaskedArray(np.where(hidden, 0.0, grad[0]), mask=hidden | ~np.expand_dims(rows, axis))
