"""Products of matrices and sums by class whose bits depend neither on BLAS nor on the order of the rows.

The products are BLAS's, on pieces of the operands; src/loops/products.inc.h has the reasoning.
"""

import math

import numpy as np

from . import _native
from ._native import Pair

# For each number of levels: longest blocks of the inner dimension; the error bounds of products.inc.h rest on them.
WIDTHS = (512, 128, 128)


def product(a, b, levels, left=None, right=None, across=False):
    """a @ b.T for pairs (N, K) and (M, K), as a Pair; `across`: a @ b for (N, K) and (K, M).

    The rows of the result are multiplied by the powers of two `left`, its columns by `right`, both (., 1). With 1, 2, 3
    levels it is good to 36, 60, 80 bits of the product of the lengths of two rows, and costs 1, 3, 6 products of BLAS.
    """
    inner = a.shape[1]
    blocks = -(-inner // WIDTHS[levels - 1])
    width = -(-inner // (8 * blocks)) * 8
    left_pieces, left_exponent = _native.cut(a, levels, blocks, width, False, False)
    right_pieces, right_exponent = _native.cut(b, levels, blocks, width, True, across)
    if left is not None:
        left_exponent += np.frexp(left[:, 0])[1] - 1
    if right is not None:
        right_exponent += np.frexp(right[:, 0])[1] - 1
    sums = _native.empty_pairs(len(left_exponent), len(right_exponent), levels > 1)
    parts = [np.empty(sums.shape) for _ in range(levels)]
    exponents = None, None
    for block in range(blocks):
        rows = left_pieces[:, block * levels * width :][:, : levels * width]
        columns = right_pieces[:, block * (2 * levels - 1) * width :][:, : (2 * levels - 1) * width]
        rests, cuts = columns[:, : levels * width], columns[:, levels * width :]
        for level in range(1, levels):  # the first slices of the rows with the last of the columns: exact
            np.matmul(rows[:, : level * width], cuts[:, (levels - 1 - level) * width :].T, out=parts[level - 1])
        np.matmul(rows, rests.T, out=parts[-1])
        if block == blocks - 1:
            exponents = left_exponent, right_exponent
        _native.settle(parts, rows, rests, sums, block == 0, *exponents)
    return sums


def class_sums(rows, labels, classes):
    """The sum of the rows of each label, (classes, K), exact to 66 bits or more of the largest entry of the class."""
    power = np.zeros(classes)
    np.maximum.at(power, labels, np.where(np.any(rows.hi != 0.0, axis=1), _native.row_power(rows.hi)[:, 0], 0.0))
    return _native.class_sums(rows, labels, power, min(40, 53 - math.ceil(math.log2(max(1, len(labels))))))
