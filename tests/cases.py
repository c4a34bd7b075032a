"""The one table of functions, exact values and bounds, and the named inputs that are hard.

A further function is one more line in CASES; every test that iterates over the table then covers it.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Context, Decimal

import numpy as np

import exact

DTYPES = ("float32", "float64")
LENGTHS = (1, 2, 3, 7, 8, 9, 15, 16, 17, 63, 64, 65, 1000, 4097)


@dataclass(frozen=True)
class Case:
    name: str  # attribute of stablesoft
    exact: Callable  # row (tuple of floats), **kwargs -> Decimal, or list of Decimal
    bound: float  # ulp
    kwargs: dict = field(default_factory=dict)
    reduces: bool = False  # one value for a row; otherwise one for each element

    @property
    def id(self):
        return "-".join([self.name, *(f"{key}={value}" for key, value in self.kwargs.items())])

    def __call__(self, module, x, **more):
        return getattr(module, self.name)(x, **self.kwargs, **more)

    def values(self, row):
        """Exact values of a row of floats, as a list."""
        return _values(self.exact, tuple(map(float, row)), tuple(self.kwargs.items()))


@functools.lru_cache(maxsize=4096)
def _values(function, row, kwargs):
    values = function(row, **dict(kwargs))
    return values if isinstance(values, list) else [values]


CASES = [
    Case("softmax", exact.exact_softmax, 1),
    Case("softmax", exact.exact_softmax, 4, {"temperature": 0.1}),
    Case("softmax", exact.exact_softmax, 4, {"temperature": 3.0}),
    Case("softmax", exact.exact_softmax, 4, {"floor": 1e-20}),
    Case("softmax", exact.exact_softmax, 4, {"temperature": 2.5, "floor": 0.3}),
    Case("log_softmax", exact.exact_log_softmax, 1),
    Case("log_softmax", exact.exact_log_softmax, 4, {"temperature": 0.1}),
    Case("log_softmax", exact.exact_log_softmax, 4, {"temperature": 3.0}),
    Case("logsumexp", exact.exact_logsumexp, 1, reduces=True),
    Case("logmeanexp", exact.exact_logmeanexp, 1, reduces=True),
]
PLAIN = [case for case in CASES if not case.kwargs]  # one for each function


def partner(a, dtype):
    """The number of `dtype` nearest to log(1 - e^a), so that e^a + e^partner is nearest to 1; a < 0."""
    ctx = Context(prec=80)
    # For a below -1e-60 this is exact to 20 digits and more; nearer to 0 the partner is log(-a).
    rest = ctx.subtract(Decimal(1), ctx.exp(Decimal(float(a))))
    return np.dtype(dtype).type(float(ctx.ln(rest if rest else Decimal(-float(a)))))


# Pairs of float64 whose logsumexp cancels to the power of two named: found by searching, along short straight pieces
# of b = log(1 - e^a), for the points of the float64 grid that lie nearest to the curve.
NEAR_ONE_PAIRS = [
    (-89.5, "-0x1.4ee361e1adb4ap-1", "-0x1.77b537ba62777p-1"),
    (-89.3, "-0x1.03ba2b6b8f6edp-1", "-0x1.d7e05036b3ce5p-1"),
    (-88.9, "-0x1.3349e9128044bp-1", "-0x1.9760b3b2a5e66p-1"),
    (-88.4, "-0x1.15269b46c1ce0p-1", "-0x1.be960db648083p-1"),
]


def _near_zero(dtype):
    """Rows of negative numbers whose logsumexp is almost 0."""
    real = np.dtype(dtype).type
    half = real(-math.log(2))
    yield "lse near 0, -ln2 twice", [half, half]
    yield "lse near 0, -ln3 three times", [real(-math.log(3))] * 3
    yield "lse near 0, -ln1000", [real(-math.log(1000))] * 1000
    for a in (-0.3, -0.6, -2.0, -1e-3, -1e-10, -1e-30, -1e-37):
        yield f"lse near 0, {a:g} and its partner", [real(a), partner(real(a), dtype)]
    random = np.random.default_rng(5)
    for j, size in enumerate((3, 8, 65)):
        # A normalised row whose last element makes up what is missing.
        z = random.normal(size=size)
        z = (z - np.log(np.exp(z).sum())).astype(dtype)
        total = sum(Decimal(float(v)).exp(Context(prec=60)) for v in z[:-1])
        z[-1] = real(float((1 - total).ln(Context(prec=60))))
        yield f"lse near 0, mixture {j} of {size}", z
    if dtype == "float64":
        for bits, a, b in NEAR_ONE_PAIRS:
            yield f"lse near 0, 2^{bits}", [float.fromhex(a), float.fromhex(b)]


def _scales(random, dtype):
    """Ordinary rows over every scale."""
    big = float(np.finfo(dtype).max)
    for n in LENGTHS:
        yield f"N(0,1), n={n}", random.normal(size=n)
    yield "N(0,10)", random.normal(0, 10, 200)
    yield "N(0,1e-6)", random.normal(0, 1e-6, 64)
    yield "U(-300,300)", random.uniform(-300, 300, 200)
    for offset in (1e4, 1e9, -1e6):
        yield f"N(0,1) + {offset:g}", random.normal(size=65) + offset
    for lead in (17, 60, 750):
        yield f"confident, +{lead}", np.append(random.normal(size=40), lead)
    yield "confident, the rest next to the least double", [735.8, -3.0] + [-70.0] * 126
    yield "confident, then nothing", [0.0, -1e5, -2e5]
    z = random.normal(0, 3, 50)
    yield "normalised log-probabilities", z - np.log(np.exp(z).sum())
    yield "huge", [big, big * 0.5, -big, 1.0, 0.0]
    yield "huge, one ulp apart", [big, np.nextafter(np.dtype(dtype).type(big), 0), big]
    yield "huge, negative", [-big, -big, -big * 0.75, np.nextafter(np.dtype(dtype).type(-big * 0.75), 0)]
    yield "2^45 and beyond", 2.0**45 + np.arange(-40, 40) * 2.0**-7
    yield "-2^60 and around", -(2.0**60) + np.arange(-10, 10) * 2.0**8


def _shapes(random, dtype):
    """Ties, masks, tiny and subnormal values, and results below the normal range."""
    info = np.finfo(dtype)
    low, high = (80, 110) if dtype == "float32" else (700, 750)
    yield "subnormal results", -np.arange(low, high, 0.37)
    yield "subnormal results, peak elsewhere", 123.25 - np.append(0.0, np.arange(low, high, 0.77))
    edge = 87.0 if dtype == "float32" else 708.0
    yield "results at the smallest normal", np.append(0.0, -edge - np.arange(0, 1, 1 / 64))
    yield "ties", random.choice([-1.5, 0.25, 3.0], 100)
    yield "ties at the peak", [2.0, 1.0, 2.0, 0.0, 2.0]
    yield "all equal", [0.1] * 33
    yield "all zero", [0.0] * 10
    yield "zeros of both signs", [0.0, -0.0, 0.0, -0.0, -0.0]
    yield "alternating", np.where(np.arange(100) % 2, 5.0, -5.0)
    yield "alternating, far", np.where(np.arange(101) % 2, 50.0, -50.0)
    for mask in (-1e9, -3.4e38, -np.inf):
        x = random.normal(size=30)
        x[::3] = mask
        yield f"masked with {mask:g}", x
    yield "masked at the front", [-np.inf] * 20 + [1.0, 2.0]
    tiny = 1e-300 if dtype == "float64" else 1e-38
    yield "tiny", np.array([1.0, -2.0, 3.0, 0.0, 0.5]) * tiny
    yield "tiny, two", [tiny, -tiny]
    yield "smallest subnormals", np.array([1.0, -1.0, 3.0]) * float(info.smallest_subnormal)
    yield "tiny beside 0", [0.0, -tiny]
    one_above = 1 + float(info.eps)
    yield "one ulp apart", [1.0, one_above, 1.0, 1 - float(info.epsneg)]
    yield "ramp", np.arange(128) * -0.693
    yield "multiples of ln 2", np.arange(-20, 20) * math.log(2)
    # log_softmax of the peak is about -e^-d: subnormal, far below it, and just above the normal range.
    for d in (20, edge - 1, edge + 8, edge + 40):
        yield f"log_softmax near -e^-{d:g}", [0.0, -d]


@functools.cache
def rows(dtype):
    """{name: row} in `dtype`; the same bits on every machine and in every process."""
    random = np.random.default_rng(20240607)
    with np.errstate(over="ignore"):  # -3.4e38 is above -max in float32, and stays finite
        made = {}
        for family in (_scales(random, dtype), _shapes(random, dtype), _near_zero(dtype)):
            for name, values in family:
                assert name not in made, name
                row = np.array(values, dtype=dtype)
                row.flags.writeable = False
                made[name] = row
    return made


ROW_NAMES = {dtype: tuple(rows(dtype)) for dtype in DTYPES}
