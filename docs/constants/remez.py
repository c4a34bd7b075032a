# SPDX-License-Identifier: BSD-3-Clause
"""Weighted minimax fits with double coefficients, in decimal arithmetic.

Shared by exp.py and log.py. Everything runs at 60 digits, on a fixed grid of Chebyshev points, so
that the result is the same on every machine.
"""

import struct
from decimal import Decimal, getcontext

PRECISION = 60
GRID = 600  # points of the fit
CHECK = 4001  # points of the error measurement

getcontext().prec = PRECISION


def bits(x):
    """The 64 bits of the double x, as an int."""
    return struct.unpack("<Q", struct.pack("<d", x))[0]


def floats(value, count):
    """A double as so many floats, the sum of which comes as close to it as they can."""
    parts = []
    for _ in range(count):
        parts.append(struct.unpack("<f", struct.pack("<f", value))[0])
        value -= parts[-1]
    return parts


def horner(coefficients, x):
    total = Decimal(0)
    for c in reversed(coefficients):
        total = total * x + c
    return total


def cosine(x):
    """cos x of a Decimal 0 <= x <= 4, from the Taylor series."""
    term = total = Decimal(1)
    k = 0
    while abs(term) > Decimal(10) ** -(PRECISION - 5):
        k += 2
        term = -term * x * x / (k * (k - 1))
        total += term
    return total


def chebyshev_points(radius, count):
    """count points, ascending, on [-radius, radius], the ends included."""
    pi = Decimal("3.14159265358979323846264338327950288419716939937510582097494")
    return [-radius * cosine(pi * i / (count - 1)) for i in range(count)]


def solve(rows):
    """Solves a linear system given as augmented rows, by elimination with row pivoting."""
    n = len(rows)
    rows = [list(r) for r in rows]
    for i in range(n):
        p = max(range(i, n), key=lambda r: abs(rows[r][i]))
        rows[i], rows[p] = rows[p], rows[i]
        for r in range(i + 1, n):
            m = rows[r][i] / rows[i][i]
            for c in range(i, n + 1):
                rows[r][c] -= m * rows[i][c]
    out = [Decimal(0)] * n
    for i in reversed(range(n)):
        rest = sum((rows[i][c] * out[c] for c in range(i + 1, n)), Decimal(0))
        out[i] = (rows[i][n] - rest) / rows[i][i]
    return out


def remez(points, target, weight, n):
    """Coefficients p0..p(n-1) that minimise max weight * |target - p| over the points.

    target and weight are lists of values; the weight is >= 0 and may vanish at single points.
    """
    last = len(points) - 1
    # Start from the Chebyshev alternation; step off points where the weight vanishes.
    usable = [i for i in range(last + 1) if weight[i] > 0]
    pick = [usable[round(k * (len(usable) - 1) / n)] for k in range(n + 1)]
    for _ in range(60):
        rows = []
        for k, i in enumerate(pick):
            x = points[i]
            rows.append([x**e if e else Decimal(1) for e in range(n)] + [(-1) ** k / weight[i], target[i]])
        *p, level = solve(rows)
        error = [w * (t - horner(p, x)) for x, t, w in zip(points, target, weight)]
        # One extremum for each run of equal sign.
        extrema = []
        for i in usable:
            e = error[i]
            if e == 0:
                continue
            if extrema and (error[extrema[-1]] > 0) == (e > 0):
                if abs(e) > abs(error[extrema[-1]]):
                    extrema[-1] = i
            else:
                extrema.append(i)
        # Too many: drop the smallest; an inner one goes with its smaller neighbour, to keep the signs alternating.
        while len(extrema) > n + 1:
            size = [abs(error[i]) for i in extrema]
            if len(extrema) == n + 2:
                extrema.pop(0 if size[0] < size[-1] else -1)
                continue
            k = size.index(min(size))
            extrema.pop(k)
            if 0 < k < len(size) - 1:
                extrema.pop(k if size[k + 1] < size[k - 1] else k - 1)
        assert len(extrema) == n + 1
        worst = max(abs(e) for e in error)
        if worst <= abs(level) * (1 + Decimal(10) ** -20):
            return p
        pick = extrema
    raise ArithmeticError("the exchange did not settle")


def fit_doubles(radius, target, weight, n):
    """n doubles p0..p(n-1): a minimax fit of target, each coefficient rounded in turn.

    p0 is rounded first and the rest are fitted again around it, and so on, so that a later
    coefficient makes up for what an earlier one lost to rounding.
    """
    points = chebyshev_points(radius, GRID)  # an even count: 0 is not among them
    rest = [target(x) for x in points]
    scale = [weight(x) for x in points]
    out = []
    for k in range(n):
        c = float(remez(points, rest, scale, n - k)[0])
        out.append(c)
        rest = [(t - Decimal(c)) / x for t, x in zip(rest, points)]
        scale = [w * abs(x) for w, x in zip(scale, points)]
    return out


def max_error(radius, target, weight, coefficients):
    """max weight * |target - p| on [-radius, radius]."""
    exact = [Decimal(c) for c in coefficients]
    points = [radius * (2 * i - (CHECK - 1)) / (CHECK - 1) for i in range(CHECK)]
    return max(weight(x) * abs(target(x) - horner(exact, x)) for x in points)


def log2(x):
    return float(Decimal(x).ln() / Decimal(2).ln())


def show(name, values):
    """Prints one constant or table."""

    def text(v):
        return f"0x{v:016x}" if isinstance(v, int) and v > 0xFFFF else v.hex() if isinstance(v, float) else str(v)

    if len(values) == 1:
        print(f"{name} = {text(values[0])}")
        return
    print(f"{name}[{len(values)}] =")
    for v in values:
        print(f"    {text(v)}")
