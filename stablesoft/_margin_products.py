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


def slices(rows, bits, count):
    """`count` arrays of integers below 2^bits and a column of powers of two.

    The rows are power * sum of 2^(-bits (j + 1)) slice_j but for what is below the last slice.
    """
    rest = pair(rows)
    power = power_above(np.max(np.abs(rest.hi), axis=-1, keepdims=True, initial=0.0))
    rest = Pair(rest.hi / power, rest.lo / power)
    parts = []
    for _ in range(count):
        rest = scaled(rest, 2.0**bits)
        part = np.rint(rest.hi)
        rest = Pair(*two_sum(rest.hi - part, rest.lo))
        parts.append(part)
    return parts, power


def product(a, b, precision):
    """a @ b.T for rows a (N, K) and rows b (C, K), as a Pair that is good to `precision` bits of the largest entries.

    The slices' products of one level (equal j + k) go to BLAS as one product of rows that are set end to end.
    """
    length = a.shape[-1]
    count = 2
    while count * (bits := (53 - math.ceil(math.log2(max(1, length) * count))) // 2) < precision:
        count += 1
    left, left_power = slices(a, bits, count)
    right, right_power = slices(b, bits, count)
    levels = []
    for level in range(count):
        along = np.concatenate(left[: level + 1], axis=1)
        across = np.concatenate(right[level::-1], axis=1)
        levels.append((along @ across.T) * 2.0 ** (-bits * (level + 2)))
    low = levels[-1]
    for level in levels[-2:0:-1]:
        low = low + level
    high, error = two_sum(levels[0], low)
    power = left_power, right_power.T
    for p in power:
        high, error = high * p, error * p
    return Pair(high, error)


def class_sums(rows, labels, classes):
    """The sum of the rows of each label, (classes, K), exact to 80 bits of the largest entry of the class."""
    rest = pair(rows)
    peak = np.zeros(classes)
    np.maximum.at(peak, labels, np.max(np.abs(rest.hi), axis=-1, initial=0.0))
    power = power_above(peak)
    bits = min(40, 53 - math.ceil(math.log2(max(1, len(labels)))))
    rest = Pair(rest.hi / power[labels, None], rest.lo / power[labels, None])
    sums = []
    for _ in range(math.ceil(80 / bits)):
        rest = scaled(rest, 2.0**bits)
        part = np.rint(rest.hi)
        rest = Pair(*two_sum(rest.hi - part, rest.lo))
        total = np.zeros((classes, rest.shape[-1]))
        np.add.at(total, labels, part)
        sums.append(total)
    high = low = np.zeros((classes, rest.shape[-1]))
    for j, total in reversed(list(enumerate(sums))):
        high, error = two_sum(total * 2.0 ** (-bits * (j + 1)), high)
        low = low + error
    return Pair(*(part * power[:, None] for part in quick_two_sum(high, low)))
