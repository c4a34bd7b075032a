"""Softmax cross-entropy of rows with its gradient, which every margin loss ends in."""

import numpy as np
from array_api_compat import device

from ._losses import softmax_cross_entropy


def at_labels(xp, labels, classes):
    """(N, C), True at the label of each row."""
    return xp.arange(classes, device=device(labels), dtype=labels.dtype)[None, :] == labels[:, None]


def cross_entropy(logits, labels):
    """-log p_y of each row, (N,), and its gradient with respect to the logits, (N, C): p, and p - 1 at the label."""
    return softmax_cross_entropy(logits, labels, axis=1, reduction="none", return_grad=True)


def corrected(items, grad, low, labels):
    """The same for logits + low, where the float64 `low` is so small that its square does not count."""
    at_label = at_labels(np, labels, grad.shape[1])
    change = low - np.sum(np.where(at_label, 1.0 + grad, grad) * low, axis=1, keepdims=True)
    others = np.where(at_label, 0.0, grad + grad * change)
    items = items + np.sum(grad * low, axis=1)
    return items, np.where(at_label, -np.sum(others, axis=1, keepdims=True), others)
