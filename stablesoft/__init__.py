"""Softmax, log-sum-exp and their relatives, right to the last digit and the same bits every time."""

from . import caffe, margin
from ._config import show_config
from ._cumulative import logcumsumexp
from ._elementwise import (
    expit,
    log1mexp,
    log_expit,
    log_sigmoid,
    logaddexp,
    logit,
    logsubexp,
    sigmoid,
    softplus,
)
from ._losses import sigmoid_cross_entropy, sigmoid_focal_loss, softmax_cross_entropy, softmax_focal_loss
from ._reductions import log_softmax, logmeanexp, logsumexp, softmax

__version__ = "0.1.0"

__all__ = [
    "caffe",
    "expit",
    "log1mexp",
    "log_expit",
    "log_sigmoid",
    "log_softmax",
    "logaddexp",
    "logcumsumexp",
    "logit",
    "logmeanexp",
    "logsubexp",
    "logsumexp",
    "margin",
    "show_config",
    "sigmoid",
    "sigmoid_cross_entropy",
    "sigmoid_focal_loss",
    "softmax",
    "softmax_cross_entropy",
    "softmax_focal_loss",
    "softplus",
]
