# SPDX-License-Identifier: BSD-3-Clause
"""Derives the constants of the exponential in src/math/constants.h and prints them.

Run: python docs/constants/exp.py
"""

import os
import sys
from decimal import Decimal

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from remez import bits, fit_doubles, horner, log2, max_error, show

LN2 = Decimal(2).ln()
RADIUS = LN2 / 32 * (1 + Decimal(2) ** -20)  # |r| after the reduction by ln2/16, with a margin
MASK = 2**64 - 1


def series(first):
    """The coefficients 1/first!, 1/(first+1)!, ... of (e^r - ...)/r^first, enough for 60 digits."""
    out, c = [], Decimal(1)
    for k in range(1, first + 28):
        c /= k
        if k >= first:
            out.append(c)
    return out


SERIES1 = series(1)
SERIES2 = series(2)


def target3(r):
    return horner(SERIES1, r)


def weight3(r):
    return abs(r) / r.exp()


def target7(r):
    return horner(SERIES2, r)


def weight7(r):
    return r * r / r.exp()


def tables():
    high, low = [], []
    for j in range(16):
        exact = (LN2 * j / 16).exp() if j else Decimal(1)
        hi = float(exact)
        lo = float(exact - Decimal(hi)) if j else 2.0**-120
        high.append((bits(hi) - (j << 48)) & MASK)
        low.append((bits(lo) - (j << 48)) & MASK)
    return high, low


def constants():
    ln2_hi = float(LN2)
    high, low = tables()
    return {
        "SS_LOG2E": [float(1 / LN2)],
        "SS_LN2_HI": [ln2_hi],
        "SS_LN2_LO": [float(LN2 - Decimal(ln2_hi))],
        "SS_EXP_MAGIC": [1.5 * 2.0**48],
        "SS_EXP_HI": high,
        "SS_EXP_LO": low,
        "SS_EXP3": fit_doubles(RADIUS, target3, weight3, 3),
        "SS_EXP7": fit_doubles(RADIUS, target7, weight7, 6),
    }


def errors(values):
    """log2 of the largest error of each polynomial, relative to e^r."""
    return {
        "SS_EXP3": log2(max_error(RADIUS, target3, weight3, values["SS_EXP3"])),
        "SS_EXP7": log2(max_error(RADIUS, target7, weight7, values["SS_EXP7"])),
    }


def main():
    values = constants()
    for name, v in values.items():
        show(name, v)
    for name, e in errors(values).items():
        print(f"# {name}: max error relative to e^r = 2^{e:.2f}")


if __name__ == "__main__":
    main()
