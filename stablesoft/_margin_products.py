"""Products of matrices and sums by class whose bits depend neither on BLAS nor on the order of the rows.

The products are BLAS's, on pieces of the operands; src/loops/products.inc.h has the reasoning.
"""

import numpy as np

from . import _native
from ._native import Operand

WIDTHS = (512, 128, 128)  # of the blocks of the inner dimension, for each number of levels: the error grows with them
BITS = (36, 59, 77)  # to which products are good, for each number of levels: products.inc.h, and some blocks
WHOLE = (2**12, 2**9, 2**18)  # widest block where there is to be but one; with a level more than asked for, the last


def product(a, b, levels, left=None, right=None, across=(False, False), whole=False):
    """a @ b.T for pairs (N, K) and (M, K), as a Pair. `across`: a is (K, N), b is (K, M).

    The rows of the result are multiplied by the powers of two `left`, its columns by `right`, both (., 1). With 1, 2, 3
    levels it is good to BITS of the product of the lengths of two rows, and costs 1, 3, 6 products of BLAS.
    `whole`: the inner dimension may come in any order, up to a length of 2^18, for one level more where it is long.
    """
    inner = a.shape[1 - across[0]]
    more = levels_of(levels, inner, whole)
    levels, widest = more, WHOLE[-1] if more > levels else (WHOLE if whole else WIDTHS)[levels - 1]
    blocks = -(-inner // widest)
    width = -(-inner // (8 * blocks)) * 8
    a, b = Operand(a, levels, width, False, across[0]), Operand(b, levels, width, True, across[1])
    sums = _native.empty_pairs(len(a.exponent), len(b.exponent), levels > 1)
    parts = [sums.hi] if levels == 1 and width >= inner else [np.empty(sums.shape) for _ in range(levels)]
    powers = None, None
    for start in range(0, inner, width):
        rows, columns = a.cut(start), b.cut(start)
        rests, cuts = columns[:, : levels * width], columns[:, levels * width :]
        for level in range(1, levels):  # the first slices of the rows with the last of the columns: exact
            np.matmul(rows[:, : level * width], cuts[:, (levels - 1 - level) * width :].T, out=parts[level - 1])
        np.matmul(rows, rests.T, out=parts[-1])
        if start + width >= inner:
            powers = a.exponent + exponent(left), b.exponent + exponent(right)
        _native.settle(parts, rows, rests, sums, start == 0, *powers)
    return sums


def levels_of(levels, inner, whole):
    """How many levels it takes if `levels` are wanted."""
    return levels + (whole and levels < 3 and inner > WHOLE[levels - 1])


def exponent(power):
    """Of powers of two (N, 1), as (N,); None stands for 1."""
    return 0.0 if power is None else np.frexp(power[:, 0])[1] - 1.0


def class_sums(rows, labels, classes, terms):
    """The sum of the rows of each label, (classes, K), exact to 100 bits of the largest entry of the class.

    The order of the rows does not count as long as none has more than so many terms.
    """
    power = np.zeros(classes)
    np.maximum.at(power, labels, np.where(np.any(rows.hi != 0.0, axis=1), _native.row_power(rows.hi)[:, 0], 0.0))
    return _native.class_sums(rows, labels, power, terms)
