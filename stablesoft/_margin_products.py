"""Products of matrices and sums by class whose bits do not depend on the order of the additions.

Every row is cut into slices, multiples of a power of two that are so short that the product of two slices, and any
sum of such products, is a float64 without rounding. BLAS may then add them in any order, with or without fma and with
any number of threads: the result is exact, hence always the same. What is dropped is below 2^-60 of the product of
the two rows' largest entries (2^-36 for float32, which has 24 bits). The method is that of K. Ozaki, T. Ogita,
S. Oishi, S. M. Rump, "Error-free transformations of matrix multiplication by using fast routines of matrix
multiplication and its applications", Numerical Algorithms 59, 2012.
"""

import math

import numpy as np

from ._margin_pairs import Pair, pair, quick_two_sum, scaled, two_sum


def power_above(peak):
    """The power of two above each peak, as far as it can be inverted; 1 where the peak is 0, infinite or NaN."""
    usable = np.isfinite(peak) & (peak > 0)
    exponent = np.frexp(np.where(usable, peak, 0.5))[1]
    return np.ldexp(1.0, np.clip(exponent, -1022, 1022))


def slices(rows, power, bits, count):
    """`count` arrays of integers of at most 2^bits in magnitude; sum of 2^(-bits (j + 1)) slice_j is rows / power.

    What is dropped is below the last slice, or 53 bits below the first.
    """
    rows = pair(rows)
    rest, low = rows.hi / power, rows.lo / power
    for _ in range(count):
        rest = rest * 2.0**bits
        part = np.rint(rest)
        rest -= part
        if low is not None:  # has room in the one float64 now that the leading digits are gone
            rest += low * 2.0**bits
            low = None
        yield part


def row_power(rows):
    """The power of two above the largest entry of each row, (N, 1)."""
    return power_above(np.max(np.abs(pair(rows).hi), axis=-1, keepdims=True, initial=0.0))


def product(a, b, precision):
    """a @ b.T for rows a (N, K) and rows b (C, K), as a Pair that is good to `precision` bits of the largest entries.

    The slices' products of one level (equal j + k) go to BLAS as one product of rows that are set end to end.
    """
    length = a.shape[-1]
    count = 2
    while count * (bits := (53 - math.ceil(math.log2(max(1, length) * count))) // 2) < precision:
        count += 1
    left_power, right_power = row_power(a), row_power(b)
    left = list(slices(a, left_power, bits, count))
    right = list(slices(b, right_power, bits, count))
    levels = []
    for level in range(count):
        along = np.concatenate(left[: level + 1], axis=1)
        across = np.concatenate(right[level::-1], axis=1)
        levels.append((along @ across.T) * 2.0 ** (-bits * (level + 2)))
    low = levels[-1]
    for level in levels[-2:0:-1]:
        low = low + level
    high, error = two_sum(levels[0], low)
    return scaled(scaled(Pair(high, error), left_power), right_power.T)


def class_sums(rows, labels, classes):
    """The sum of the rows of each label, (classes, K), exact to 80 bits of the largest entry of the class."""
    peak = np.zeros(classes)
    np.maximum.at(peak, labels, np.max(np.abs(pair(rows).hi), axis=-1, initial=0.0))
    power = power_above(peak)[:, None]
    bits = min(40, 53 - math.ceil(math.log2(max(1, len(labels)))))
    sums = []
    for part in slices(rows, power[labels], bits, math.ceil(80 / bits)):
        total = np.zeros((classes, part.shape[-1]))
        np.add.at(total, labels, part)
        sums.append(total)
    high = low = np.zeros_like(sums[0])
    for j, total in reversed(list(enumerate(sums))):
        high, error = two_sum(total * 2.0 ** (-bits * (j + 1)), high)
        low = low + error
    return scaled(Pair(*quick_two_sum(high, low)), power)
