"""Sums of losses whose canonical rounding partial sums cannot decide: they are added once more, exactly."""

import math
from fractions import Fraction

import numpy as np
import pytest

import stablesoft
from loss_cases import DOUBTFUL, doubtful_sigmoid, doubtful_softmax

BITS = 60  # that the canonical sum keeps below its leading one
ABOVE = Fraction(0.01)  # of the spacing: what is rounded lies so much above the sum


def canonical(values):
    """The exact sum, rounded to BITS below its leading one as canonical.h says, and then to a double."""
    total = sum((Fraction(v) for v in values), Fraction(0))
    spacing = Fraction(2) ** (math.frexp(abs(total))[1] - 1 - BITS)
    return math.copysign(float(round(abs(total) / spacing + ABOVE) * spacing), total)


@pytest.mark.parametrize("name", DOUBTFUL)
@pytest.mark.parametrize("make", [doubtful_softmax, doubtful_sigmoid])
def test_exact_sum_decides(name, make):
    values = DOUBTFUL[name]
    expected = canonical(values)
    assert abs(Fraction(expected) - sum(map(Fraction, values))) <= Fraction(math.ulp(expected))
    random = np.random.default_rng(2)
    for count in (len(values), 700):
        for _ in range(8):
            items = random.permutation(np.r_[values, np.zeros(count - len(values))])
            assert make(items) == expected, count


def test_rounding_is_seen():
    """Tiny items turn the last bit of a sum, so that a path that loses them fails above."""
    sums = {name: canonical(values) for name, values in DOUBTFUL.items()}
    assert sums["a little above"] > sums["half-way"]
    assert sums["a little below, odd"] < sums["half-way, odd"]
    assert sums["negative"] == -sums["a little above"]
    assert stablesoft.sigmoid_cross_entropy([0.0], [0.0], reduction="sum") == math.log(2)
