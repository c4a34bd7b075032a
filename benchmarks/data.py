"""What a function is called with, always the same for the same case."""

import numpy as np

SECOND = {"softmax_cross_entropy": "labels", "sigmoid_cross_entropy": "targets"}  # second argument of the losses
MARGINS = ("arcface",)  # of vectors (N, K), (C, K) and N labels, for the shape (N, K, C)


def keywords(operation, axis):
    found = {} if axis is None else {"axis": axis}
    return found | {"return_grad": True} if operation in SECOND or operation in MARGINS else found


def draw(operation, shape, dtype, axis):
    """The arrays for the call, made without a temporary, which would hide what a function needs."""
    rng = np.random.default_rng(0)
    if operation in MARGINS:
        n, k, classes = shape
        x, weight = (rng.standard_normal((rows, k), dtype=dtype) for rows in (n, classes))
        return x, weight, rng.integers(classes, size=n)
    x = np.empty(shape, dtype=dtype)
    rng.standard_normal(dtype=dtype, out=x)
    x *= 3
    second = SECOND.get(operation)
    if second is None:
        return (x,)
    if second == "labels":
        return x, rng.integers(shape[axis], size=shape[:axis] + shape[axis + 1 :])
    targets = np.empty(shape, dtype=dtype)
    rng.random(dtype=dtype, out=targets)
    return x, np.round(targets, out=targets)
