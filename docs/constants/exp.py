# SPDX-License-Identifier: BSD-3-Clause
"""Derives the constants of the exponential in src/math/constants.h and prints them.

Run: python docs/constants/exp.py
"""

import os
import struct
import sys
from decimal import Decimal

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from remez import GRID, bits, chebyshev_points, fit_doubles, floats, horner, log2, max_error, remez, show

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


SERIES2 = series(2)


def weight3(r):
    return 1 / r.exp()


def target7(r):
    return horner(SERIES2, r)


def weight7(r):
    return r * r / r.exp()


def cubic():
    """e^r ~ lead (c0 + c1 r + c2 r^2 + r^3), |r| <= RADIUS, with the least relative error."""
    points = chebyshev_points(RADIUS, GRID)
    *rest, lead = remez(points, [r.exp() for r in points], [weight3(r) for r in points], 4)
    return lead, [float(c / lead) for c in rest]


def expanded(values):
    """The cubic as it is stored; lead is entry 0 of its table."""
    lead = Decimal(struct.unpack("<d", struct.pack("<Q", values["SS_EXP_CUBIC_POWER"][0]))[0])
    return [lead * Decimal(c) for c in (*values["SS_EXP_CUBIC"], 1.0)]


def tables(lead):
    high, low, scaled = [], [], []
    for j in range(16):
        exact = (LN2 * j / 16).exp() if j else Decimal(1)
        hi = float(exact)
        lo = float(exact - Decimal(hi)) if j else 2.0**-120
        high.append((bits(hi) - (j << 48)) & MASK)
        low.append((bits(lo) - (j << 48)) & MASK)
        scaled.append((bits(float(lead * exact)) - (j << 48)) & MASK)
    return high, low, scaled


def power(scaled, j):
    """Entry j of a table of powers as a double."""
    return struct.unpack("<d", struct.pack("<Q", (scaled[j] + (j << 48)) & MASK))[0]


def rest_of_cubic(lead, monic):
    """What e^r / lead has beyond the cubic, up to r^6."""
    taken, factorial, out = [*monic, 1.0, 0.0, 0.0, 0.0], 1, []
    for i, coefficient in enumerate(taken):
        factorial *= max(i, 1)
        out += floats(float(1 / (Decimal(lead) * factorial) - Decimal(coefficient)), 1)
    return out


def constants():
    ln2_hi, log2e = float(LN2), float(1 / LN2)
    lead, monic = cubic()
    high, low, scaled = tables(lead)
    return {
        "SS_LOG2E": [log2e],
        "SS_LN2_HI": [ln2_hi],
        "SS_LN2_LO": [float(LN2 - Decimal(ln2_hi))],
        "SS_EXP_MAGIC": [1.5 * 2.0**48],
        "SS_EXP_HI": high,
        "SS_EXP_LO": low,
        "SS_EXP_CUBIC": monic,
        "SS_EXP_CUBIC_POWER": scaled,
        "SS_EXP7": fit_doubles(RADIUS, target7, weight7, 6),
        "SS_FLOAT_LOG2E": floats(16 * log2e, 2),
        "SS_FLOAT_LN2": floats(ln2_hi / 16, 3),
        "SS_FLOAT_CUBIC": [part for value in monic for part in floats(value, 2)],
        "SS_FLOAT_REST": rest_of_cubic(power(scaled, 0), monic),
        "SS_FLOAT_POWER": [part for j in range(16) for part in floats(power(scaled, j), 2)],
    }


def errors(values):
    """log2 of the largest error of each polynomial, relative to e^r."""
    return {
        "SS_EXP_CUBIC": log2(max_error(RADIUS, Decimal.exp, weight3, expanded(values))),
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
