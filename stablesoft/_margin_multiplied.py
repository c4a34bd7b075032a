"""Margin losses whose logits have the length of the features, with the angle multiplied at the label."""

import math

from ._margin_core import no_margin, psi_and_slope, psi_margin
from ._margin_inputs import as_multiplier, as_real, elementwise, margin_loss


def modified_softmax(x, weight, labels, *, reduction="mean", return_grad=False, gradient="true"):
    r"""Softmax cross-entropy with normalised class vectors and no margin.

    .. math:: z_j = |x| \cos\theta_j = x \cdot w_j / |w_j|

    Parameters
    ----------
    x : array_like
        Feature vectors, (N, K).
    weight : array_like
        Class vectors, (C, K).
    labels : array_like of int
        The class of each row of `x`, (N,), in [0, C).
    reduction : {"mean", "sum", "none"}, optional
        Mean or sum of the rows' losses, or one loss for each row.
    return_grad : bool, optional
        Return the gradients as well.
    gradient : {"true", "detached"}, optional
        Without a margin both are the same.

    Returns
    -------
    loss : array or scalar
        A scalar, or (N,) with "none", in the common dtype of `x` and `weight`.
    grad_x, grad_weight : array
        Only with `return_grad`: derivatives of the reduced loss (of the sum with "none"), in the shapes of `x` and
        `weight`.

    Raises
    ------
    TypeError
        For vectors that are not real and dense, or labels that are not integers.
    ValueError
        For shapes that do not fit, a label out of range, a zero vector, or an unknown option; the message names the
        first bad position.

    Notes
    -----
    Accuracy, reproducibility and special values stand in the description of the module.

    References
    ----------
    .. [1] W. Liu et al., "SphereFace: Deep hypersphere embedding for face recognition", CVPR 2017. :arxiv:`1704.08063`

    Examples
    --------
    >>> from stablesoft.margin import modified_softmax
    >>> round(float(modified_softmax([[1.0, 0.0]], [[2.0, 0.0], [0.0, 5.0]], [0])), 12)
    0.313261687518
    """
    return margin_loss(x, weight, labels, no_margin, (None, 1.0), reduction, return_grad, gradient)


def l_softmax(x, weight, labels, *, m=4, lam=0.0, reduction="mean", return_grad=False, gradient="true"):
    r"""L-Softmax: the angle to the class of the label counts m times.

    .. math:: z_j = |x| |w_j| \cos\theta_j, \qquad
              z_y = |x| |w_y| \frac{\lambda \cos\theta_y + \psi(\theta_y)}{1 + \lambda}

    Parameters
    ----------
    x : array_like
        Feature vectors, (N, K).
    weight : array_like
        Class vectors, (C, K).
    labels : array_like of int
        The class of each row of `x`, (N,), in [0, C).
    m : int, optional
        Multiplier of the angle, at least 1; with 1 this is the plain softmax cross-entropy of x @ weight.T.
    lam : float, optional
        Weight of the logit without margin, at least 0; see `annealed_lambda`.
    reduction : {"mean", "sum", "none"}, optional
        Mean or sum of the rows' losses, or one loss for each row.
    return_grad : bool, optional
        Return the gradients as well.
    gradient : {"true", "detached"}, optional
        "detached" takes the margin as a constant: the logit at the label then has the slope of cos(theta).

    Returns
    -------
    loss : array or scalar
        A scalar, or (N,) with "none", in the common dtype of `x` and `weight`.
    grad_x, grad_weight : array
        Only with `return_grad`: derivatives of the reduced loss (of the sum with "none"), in the shapes of `x` and
        `weight`.

    Raises
    ------
    TypeError
        For vectors that are not real and dense, or labels or `m` that are not integers.
    ValueError
        For shapes that do not fit, a label out of range, a zero vector, or an unknown option; the message names the
        first bad position.

    Notes
    -----
    Accuracy, reproducibility and special values stand in the description of the module.

    In the wild: m = 2, 3 or 4; the authors' Caffe layer anneals `lam` from 1000, its own default being a constant 1.

    References
    ----------
    .. [1] W. Liu et al., "Large-margin softmax loss for convolutional neural networks", ICML 2016. :arxiv:`1612.02295`

    Examples
    --------
    >>> from stablesoft.margin import l_softmax
    >>> x, weight = [[3.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]
    >>> [round(float(l_softmax(x, weight, [0], m=m)), 6) for m in (1, 2, 4)]
    [0.126928, 0.196039, 0.752068]
    """
    margin = psi_margin(as_multiplier(m), as_real(lam, "lam", 0.0))
    return margin_loss(x, weight, labels, margin, (None, None), reduction, return_grad, gradient)


def a_softmax(x, weight, labels, *, m=4, lam=0.0, reduction="mean", return_grad=False, gradient="true"):
    r"""A-Softmax (SphereFace): as L-Softmax, with normalised class vectors.

    .. math:: z_j = |x| \cos\theta_j, \qquad z_y = |x| \frac{\lambda \cos\theta_y + \psi(\theta_y)}{1 + \lambda}

    Parameters
    ----------
    x : array_like
        Feature vectors, (N, K).
    weight : array_like
        Class vectors, (C, K).
    labels : array_like of int
        The class of each row of `x`, (N,), in [0, C).
    m : int, optional
        Multiplier of the angle, at least 1; with 1 this is `modified_softmax`.
    lam : float, optional
        Weight of the logit without margin, at least 0; see `annealed_lambda`.
    reduction : {"mean", "sum", "none"}, optional
        Mean or sum of the rows' losses, or one loss for each row.
    return_grad : bool, optional
        Return the gradients as well.
    gradient : {"true", "detached"}, optional
        "detached" takes the margin as a constant: the logit at the label then has the slope of cos(theta).

    Returns
    -------
    loss : array or scalar
        A scalar, or (N,) with "none", in the common dtype of `x` and `weight`.
    grad_x, grad_weight : array
        Only with `return_grad`: derivatives of the reduced loss (of the sum with "none"), in the shapes of `x` and
        `weight`.

    Raises
    ------
    TypeError
        For vectors that are not real and dense, or labels or `m` that are not integers.
    ValueError
        For shapes that do not fit, a label out of range, a zero vector, or an unknown option; the message names the
        first bad position.

    Notes
    -----
    Accuracy, reproducibility and special values stand in the description of the module.

    In the wild: m = 4 with `lam` annealed from 1000 to 5. The authors' Caffe layer rescales this gradient for `x` and
    leaves the margin out of the one for `weight`; here both are the derivatives of the loss.

    References
    ----------
    .. [1] W. Liu et al., "SphereFace: Deep hypersphere embedding for face recognition", CVPR 2017. :arxiv:`1704.08063`

    Examples
    --------
    >>> from stablesoft.margin import a_softmax
    >>> x, weight = [[3.0, 1.0]], [[5.0, 0.0], [0.0, 1.0]]
    >>> [round(float(a_softmax(x, weight, [0], m=4, lam=lam)), 6) for lam in (0.0, 5.0, 1000.0)]
    [0.752068, 0.176066, 0.12718]
    """
    margin = psi_margin(as_multiplier(m), as_real(lam, "lam", 0.0))
    return margin_loss(x, weight, labels, margin, (None, 1.0), reduction, return_grad, gradient)


def psi(cos, m):
    r"""The target function of L-Softmax and A-Softmax, as a function of the cosine.

    .. math:: \psi = (-1)^k \cos(m \theta) - 2k, \qquad \theta \in [k\pi/m, (k+1)\pi/m]

    Parameters
    ----------
    cos : array_like
        Cosines of the angles.
    m : int
        Multiplier of the angle, at least 1.

    Returns
    -------
    array or scalar
        The shape and dtype of `cos`, float64 for integers.

    Raises
    ------
    TypeError
        For cosines that are not real numbers, or an `m` that is not an integer.
    ValueError
        For an `m` below 1.

    Notes
    -----
    It rises with the cosine, from 1 - 2m at -1 to 1 at 1, and is continuous with its first derivative.

    **Accuracy.** For float32 and float64 on NumPy within 16 ulp of 2m - 1, its largest magnitude.

    **Special values.** A cosine that rounding has put outside [-1, 1] continues the outer pieces. NaN gives NaN.

    **Method.** The recurrence of the Chebyshev polynomials; no arccos is taken.

    References
    ----------
    .. [1] W. Liu et al., "Large-margin softmax loss for convolutional neural networks", ICML 2016. :arxiv:`1612.02295`

    Examples
    --------
    >>> from stablesoft.margin import psi
    >>> psi([1.0, 0.5, 0.0, -0.5, -1.0], 2)
    array([ 1. , -0.5, -1. , -1.5, -3. ])
    """
    m = as_multiplier(m)
    return elementwise(cos, "cos", lambda ar, cosine: psi_and_slope(ar, cosine, m)[0])


def annealed_lambda(iteration, *, base, gamma, power, minimum):
    r"""The weight of the logit without margin, as it is lowered in training.

    .. math:: \lambda = \max(\text{minimum}, \text{base} \, (1 + \gamma \cdot \text{iteration})^{-\text{power}})

    Parameters
    ----------
    iteration : float
        How many steps have been made, at least 0. The authors' Caffe layers count the current one, starting with 1.
    base : float
        Value at iteration 0, at least 0.
    gamma : float
        Speed, at least 0.
    power : float
        Exponent.
    minimum : float
        Lower limit, at least 0.

    Returns
    -------
    float
        What `l_softmax` and `a_softmax` take as `lam`.

    Raises
    ------
    TypeError
        For an argument that is not a number.
    ValueError
        For one that is not finite or negative where it must not be.

    Notes
    -----
    In the wild: SphereFace's model has base 1000, gamma 0.12, power 1, minimum 5; L-Softmax on MNIST base 1000,
    gamma 2.5e-5, power 35, minimum 0.

    References
    ----------
    .. [1] W. Liu et al., "SphereFace: Deep hypersphere embedding for face recognition", CVPR 2017. :arxiv:`1704.08063`

    Examples
    --------
    >>> from stablesoft.margin import annealed_lambda
    >>> [round(annealed_lambda(i, base=1000, gamma=0.12, power=1, minimum=5), 2) for i in (1, 1000, 10000)]
    [892.86, 8.26, 5.0]
    """
    iteration, base = as_real(iteration, "iteration", 0.0), as_real(base, "base", 0.0)
    gamma, power, minimum = as_real(gamma, "gamma", 0.0), as_real(power, "power"), as_real(minimum, "minimum", 0.0)
    return max(minimum, base * math.exp(-power * math.log1p(gamma * iteration)))
