"""Softmax cross-entropy of rows with its gradient, which every margin loss ends in."""

import numpy as np
from array_api_compat import device

from ._reductions import log_softmax, softmax


def at_labels(xp, labels, classes):
    """(N, C), True at the label of each row."""
    return xp.arange(classes, device=device(labels), dtype=labels.dtype)[None, :] == labels[:, None]


def cross_entropy(xp, logits, labels):
    """-log p_y of each row, (N,), and its gradient with respect to the logits, (N, C).

    The gradient is p - onehot; its entry at the label is the negated sum of the others, so that it keeps all its
    digits where p_y is almost 1.
    """
    at_label = at_labels(xp, labels, logits.shape[1])
    items = -xp.sum(xp.where(at_label, log_softmax(logits, axis=1), 0.0), axis=1)
    others = xp.where(at_label, 0.0, softmax(logits, axis=1))
    return items, xp.where(at_label, -xp.sum(others, axis=1, keepdims=True), others)


def corrected(items, grad, low, labels):
    """The same for logits + low, where the float64 `low` is so small that its square does not count."""
    at_label = at_labels(np, labels, grad.shape[1])
    change = low - np.sum(np.where(at_label, 1.0 + grad, grad) * low, axis=1, keepdims=True)
    others = np.where(at_label, 0.0, grad + grad * change)
    items = items + np.sum(grad * low, axis=1)
    return items, np.where(at_label, -np.sum(others, axis=1, keepdims=True), others)
