"""A pytest plugin that puts stablesoft's functions in SciPy's place before SciPy's own tests are collected."""

import scipy.special
import scipy.special._logsumexp
from scipy._lib._array_api import xp_capabilities_table

import stablesoft

FUNCTIONS = ("logsumexp", "softmax", "log_softmax")
UFUNCS = ("expit", "logit", "log_expit")


def pytest_configure():
    """Substitute, and register ours as able to do what SciPy's can: the tests look that up by function."""
    for name in FUNCTIONS:
        ours = getattr(stablesoft, name)
        xp_capabilities_table[ours] = xp_capabilities_table[getattr(scipy.special, name)]
        for module in (scipy.special, scipy.special._logsumexp):
            setattr(module, name, ours)
    for name in UFUNCS:
        setattr(scipy.special, name, getattr(stablesoft, name))


def pytest_report_header():
    """Say whose functions run, so that a test can make sure that the substitution took place."""
    taken = [name for name in FUNCTIONS + UFUNCS if getattr(scipy.special, name) is getattr(stablesoft, name)]
    return f"in SciPy's place: {' '.join(taken)}"
