"""Every loss of the table: items and gradients within their bounds on the hard rows, in every path through the kernels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cases
import loss_cases
import stablesoft
import strategies
from loss_cases import CASES, SIGMOID, SOFTMAX, check, targets_of


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_named_rows(case, dtype):
    """The label at the peak, at the smallest element, at a tie, at -inf; rows of one tile and of two."""
    for name, row in cases.rows(dtype).items():
        for place, targets in targets_of(case, row).items():
            loss, gradient = case(stablesoft, row, targets, reduction="none", return_grad=True)
            check(case, case.exact(row, targets), loss, gradient, f"{name}, {place}")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_length(case, dtype):
    random = np.random.default_rng(1)
    for n in range(1, 71):
        row = random.normal(0, 3, n).astype(dtype)
        for place, targets in targets_of(case, row).items():
            loss, gradient = case(stablesoft, row, targets, reduction="none", return_grad=True)
            check(case, case.exact(row, targets), loss, gradient, f"n={n}, {place}")


def batch_of(case, x):
    """One label, or one array of probabilities, for each row of a matrix: every place in turn."""
    chosen = [list(targets_of(case, row).values()) for row in x]
    return np.array([options[j % len(options)] for j, options in enumerate(chosen)])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
@pytest.mark.parametrize("n", [2, 5, 10, 16, 33])
def test_blocks(case, dtype, n):
    """Many rows, short ones side by side: as they are, and along an axis in the middle, as NCHW has it."""
    random = np.random.default_rng(n)
    x = (random.normal(size=(60, n)) * 10.0 ** random.uniform(-2, 2, size=(60, 1))).astype(dtype)
    x[7, n // 2] = x[8, 0] = -np.inf
    targets = batch_of(case, x)
    if case.sigmoid:
        targets = targets.reshape(x.shape)
    loss, gradient = case(stablesoft, x, targets, reduction="none", return_grad=True)
    assert gradient.shape == x.shape
    if case.sigmoid:
        check(case, case.exact(x, targets), loss, gradient, "matrix")
        return
    for j, row in enumerate(x):
        check(case, case.exact(row, targets[j]), loss[j], gradient[j], f"row {j}")
    image = np.ascontiguousarray(x.reshape(4, 15, n).transpose(0, 2, 1))
    kept = targets.reshape(4, 15, n).transpose(0, 2, 1) if case.soft else targets.reshape(4, 15)
    again, slopes = case(stablesoft, image, kept, axis=1, reduction="none", return_grad=True)
    np.testing.assert_array_equal(again.ravel(), loss)
    np.testing.assert_array_equal(slopes.transpose(0, 2, 1).reshape(x.shape), gradient)
