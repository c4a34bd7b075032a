# SPDX-License-Identifier: BSD-3-Clause
"""Derives the constants of the logarithm in src/math/constants.h and prints them.

Run: python docs/constants/log.py
"""

import os
import sys
from decimal import Decimal
from fractions import Fraction

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from remez import bits, fit_doubles, floats, horner, log2, max_error, show

SPLIT_INDEX = 7  # from z = 1 + 6.5/16 = 1.40625 on, z is halved
SERIES = [(Decimal(1) if k % 2 == 0 else Decimal(-1)) / (k + 3) for k in range(40)]
SINGLE_SERIES = [Decimal(2) / (2 * k + 3) for k in range(40)]  # (2 atanh s - 2 s) / s^3 in powers of s^2
UNIT_SERIES = [(Decimal(-1) if k % 2 == 0 else Decimal(1)) / (k + 2) for k in range(40)]
UNIT_RADIUS = Decimal(1) / 30 * (1 + Decimal(2) ** -20)  # |g|, largest next to 0
UNIT_CLOSE = Decimal(2) ** -64  # how near to a double -log inv is
SINGLE_RADIUS = Decimal(1) / 25 * (1 + Decimal(2) ** -20)  # |s| <= 1/5, where z lies in [2/3, 3/2]


def interval(i):
    """The closed interval of z, or of z/2 from the split on, of entry i: 1/32 around 1 + i/16."""
    a, b = 1 + Fraction(2 * i - 1, 32), 1 + Fraction(2 * i + 1, 32)
    if i == 0:
        return 1 - Fraction(1, 64), b  # its lower half belongs to z next to 2, which is halved
    return (a / 2, b / 2) if i >= SPLIT_INDEX else (a, b)


def max_f(i, inv):
    """The largest |z inv - 1| of entry i (the right end of the interval counts, as a bound)."""
    a, b = interval(i)
    return max(abs(a * inv - 1), abs(b * inv - 1))


def inverses():
    """The multiple of 2^-10 with the least max |f| for each entry; exactly 1 next to z = 1."""
    out = [Fraction(1)]
    for i in range(1, 16):
        a, b = interval(i)
        near = round(1024 * 2 / (a + b))
        out.append(min((Fraction(m, 1024) for m in (near, near - 1, near + 1)), key=lambda v: max_f(i, v)))
    return out


def unit_inverses():
    """Doubles inv next to 1 / (1 + j/15) whose -log inv is a double but for UNIT_CLOSE, and these logarithms."""
    inverse, log = [1.0], [0.0]
    for j in range(1, 16):
        candidates = (15 / (15 + j) + i * 2.0**-36 for i in range(2**16))  # so far apart that the logarithm bends
        inv, exact = next(
            (inv, exact)
            for inv, exact in ((inv, -Decimal(inv).ln()) for inv in candidates)
            if abs(exact - Decimal(float(exact))) < UNIT_CLOSE
        )
        inverse.append(inv)
        log.append(float(exact))
    return inverse, log


def decimal(v):
    return Decimal(v.numerator) / Decimal(v.denominator)


INVERSES = inverses()
MAX_F = max(max_f(i, v) for i, v in enumerate(INVERSES))
RADIUS = decimal(MAX_F) * (1 + Decimal(2) ** -20)


def target(f):
    return horner(SERIES, f)


def weight(f):
    return f * f  # the error of f^3 p(f), relative to f


def unit_target(g):
    return horner(UNIT_SERIES, g)


def unit_weight(g):
    return abs(g)  # the error of g^2 q(g), relative to g


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
    unit_inverse, unit_log = unit_inverses()
    log1p = fit_doubles(RADIUS, target, weight, 9)
    single = fit_doubles(SINGLE_RADIUS, single_target, single_weight, 6)
    unit_single = fit_doubles(UNIT_RADIUS, unit_target, unit_weight, 4)
    return {
        "SS_LOG_SPLIT_INDEX": [SPLIT_INDEX],
        "SS_LOG_INV": [bits(float(v)) for v in INVERSES],
        "SS_LOG_HI": [bits(v) for v in high],
        "SS_LOG_LO": [bits(v) for v in low],
        "SS_LOG1P": log1p,
        "SS_LOG_SINGLE": single,
        "SS_FLOAT_LOG": [part for i, b in enumerate(single) for part in floats(b, 2 if i < 3 else 1)],
        "SS_FLOAT_INVERSE": [part for v, log in zip(INVERSES, high) for part in (float(v), *floats(log, 2))],
        "SS_FLOAT_LOG1P": [part for i, a in enumerate(log1p[:5]) for part in floats(a, 1 if i else 2)],
        "SS_UNIT_INV": [bits(v) for v in unit_inverse],
        "SS_UNIT_LOG": [bits(v) for v in unit_log],
        "SS_UNIT": fit_doubles(UNIT_RADIUS, unit_target, unit_weight, 9),
        "SS_UNIT_SINGLE": unit_single,
        "SS_FLOAT_UNIT": [part for both in zip(unit_inverse, unit_log) for v in both for part in floats(v, 2)],
        "SS_FLOAT_UNIT_SINGLE": [part for i, q in enumerate(unit_single) for part in floats(q, 2 if i < 2 else 1)],
    }


def errors(values):
    """log2 of the largest error of each polynomial, relative to f, to 2 s and to g."""
    return {
        "SS_LOG1P": log2(max_error(RADIUS, target, weight, values["SS_LOG1P"])),
        "SS_LOG_SINGLE": log2(max_error(SINGLE_RADIUS, single_target, single_weight, values["SS_LOG_SINGLE"])),
        "SS_UNIT": log2(max_error(UNIT_RADIUS, unit_target, unit_weight, values["SS_UNIT"])),
        "SS_UNIT_SINGLE": log2(max_error(UNIT_RADIUS, unit_target, unit_weight, values["SS_UNIT_SINGLE"])),
    }


def main():
    values = constants()
    for name, v in values.items():
        show(name, v)
    print(f"# max |f| = {MAX_F} = {float(MAX_F):.9f} = 2^{log2(decimal(MAX_F)):.4f}")
    for name, e in errors(values).items():
        print(f"# {name}: max relative error = 2^{e:.2f}")


if __name__ == "__main__":
    main()
