# SPDX-License-Identifier: BSD-3-Clause
"""Derives the constants of the logarithm in src/math/constants.h and prints them.

Run: python docs/constants/log.py
"""

import os
import sys
from decimal import Decimal
from fractions import Fraction

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from remez import fit_doubles, horner, log2, max_error, show

SPLIT_INDEX = 53  # from z = 1 + 53/128 = 1.4140625 on, z is halved
SERIES = [(Decimal(1) if k % 2 == 0 else Decimal(-1)) / (k + 3) for k in range(40)]
SINGLE_SERIES = [Decimal(2) / (2 * k + 3) for k in range(40)]  # (2 atanh s - 2 s) / s^3 in powers of s^2
SINGLE_RADIUS = Decimal(1) / 25 * (1 + Decimal(2) ** -20)  # |s| <= 1/5, where z lies in [2/3, 3/2]


def interval(i):
    """The closed interval of z, or of z/2 from the split on, of entry i."""
    a, b = Fraction(128 + i, 128), Fraction(129 + i, 128)
    return (a / 2, b / 2) if i >= SPLIT_INDEX else (a, b)


def max_f(i, inv):
    """The largest |z inv - 1| of entry i (the right end of the interval counts, as a bound)."""
    a, b = interval(i)
    return max(abs(a * inv - 1), abs(b * inv - 1))


def inverses():
    """The multiple of 2^-7 with the least max |f| for each entry; exactly 1 next to z = 1."""
    out = []
    for i in range(128):
        a, b = interval(i)
        near = round(128 * 2 / (a + b))
        out.append(min((Fraction(m, 128) for m in (near, near - 1, near + 1)), key=lambda v: max_f(i, v)))
    assert out[0] == 1 and out[127] == 1
    return out


def check_exact(inv):
    """z inv - 1 fits in a double, because it is a small multiple of a power of two."""
    for i, v in enumerate(inv):
        assert v.numerator < 2**8 and 128 % v.denominator == 0
        # z is a multiple of 2^-52, z/2 of 2^-53, inv of 2^-7.
        unit = 2**60 if i >= SPLIT_INDEX else 2**59
        assert max_f(i, v) * unit <= 2**53


def decimal(v):
    return Decimal(v.numerator) / Decimal(v.denominator)


INVERSES = inverses()
check_exact(INVERSES)
MAX_F = max(max_f(i, v) for i, v in enumerate(INVERSES))
RADIUS = decimal(MAX_F) * (1 + Decimal(2) ** -20)


def target(f):
    return horner(SERIES, f)


def weight(f):
    return f * f  # the error of f^3 p(f), relative to f


def single_target(w):
    return horner(SINGLE_SERIES, w)


def single_weight(w):
    return abs(w) / 2  # the error of s w p(w), relative to 2 s


def constants():
    high, low = [], []
    for v in INVERSES:
        exact = -decimal(v).ln() if v != 1 else Decimal(0)
        hi = float(exact)
        high.append(hi)
        low.append(float(exact - Decimal(hi)))
    return {
        "SS_LOG_SPLIT_INDEX": [SPLIT_INDEX],
        "SS_LOG_INV": [float(v) for v in INVERSES],
        "SS_LOG_HI": high,
        "SS_LOG_LO": low,
        "SS_LOG1P": fit_doubles(RADIUS, target, weight, 8),
        "SS_LOG_SINGLE": fit_doubles(SINGLE_RADIUS, single_target, single_weight, 6),
    }


def errors(values):
    """log2 of the largest error of each polynomial, relative to f and to 2 s."""
    return {
        "SS_LOG1P": log2(max_error(RADIUS, target, weight, values["SS_LOG1P"])),
        "SS_LOG_SINGLE": log2(max_error(SINGLE_RADIUS, single_target, single_weight, values["SS_LOG_SINGLE"])),
    }


def main():
    values = constants()
    for name, v in values.items():
        show(name, v)
    print(f"# max |f| = {MAX_F} = {float(MAX_F):.9f} = 2^{log2(decimal(MAX_F)):.4f}")
    strict = all(max_f(i, v) * 2**60 <= 2**53 for i, v in enumerate(INVERSES))
    print(f"# |f| * 2^60 <= 2^53 in every entry: {strict}")
    for name, e in errors(values).items():
        print(f"# {name}: max relative error = 2^{e:.2f}")


if __name__ == "__main__":
    main()
