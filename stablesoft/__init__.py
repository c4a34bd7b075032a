"""Softmax, log-sum-exp and their relatives, right to the last digit and the same bits every time."""

from ._config import show_config
from ._reductions import log_softmax, logmeanexp, logsumexp, softmax

__version__ = "0.1.0"

__all__ = ["log_softmax", "logmeanexp", "logsumexp", "show_config", "softmax"]
