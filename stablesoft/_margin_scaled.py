"""Margin losses whose logits are cosines times a scale."""

from ._margin_core import angular_margin
from ._margin_inputs import BEYOND, as_angle, as_choice, as_positive, as_real, margin_loss


def am_softmax(x, weight, labels, *, m=0.35, scale=30.0, reduction="mean", return_grad=False, gradient="true"):
    r"""AM-Softmax (CosFace): the cosine at the label is lowered by m.

    .. math:: z_j = s \cos\theta_j, \qquad z_y = s (\cos\theta_y - m)

    Parameters
    ----------
    x : array_like
        Feature vectors, (N, K).
    weight : array_like
        Class vectors, (C, K).
    labels : array_like of int
        The class of each row of `x`, (N,), in [0, C).
    m : float, optional
        What is taken off the cosine.
    scale : float, optional
        The factor s of all cosines, above 0.
    reduction : {"mean", "sum", "none"}, optional
        Mean or sum of the rows' losses, or one loss for each row.
    return_grad : bool, optional
        Return the gradients as well.
    gradient : {"true", "detached"}, optional
        Both are the same here: a constant has no derivative.

    Returns
    -------
    loss : array or scalar
        A scalar, or (N,) with "none", in the common dtype of `x` and `weight`.
    grad_x, grad_weight : array
        Only with `return_grad`: derivatives of the reduced loss (of the sum with "none"), in the shapes of `x` and
        `weight`. Each row is perpendicular to the vector that it belongs to.

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

    In the wild: m = 0.35 with scale 30 (AM-Softmax) or 64 (CosFace). Some code lowers the cosine only where it is above
    m; here, as in the papers, it always is.

    References
    ----------
    .. [1] F. Wang et al., "Additive margin softmax for face verification", IEEE Signal Processing Letters 25(7), 2018.
       :arxiv:`1801.05599`

    Examples
    --------
    >>> from stablesoft.margin import am_softmax
    >>> round(float(am_softmax([[3.0, 1.0]], [[5.0, 0.0], [1.0, 1.0]], [0], scale=8.0)), 6)
    2.455664
    """
    m, scale = as_real(m, "m"), as_positive(scale, "scale")
    margin = angular_margin(1.0, 0.0, m, "wrap")
    return margin_loss(x, weight, labels, margin, (scale, 1.0), reduction, return_grad, gradient)


def arcface(
    x, weight, labels, *, m=0.5, scale=64.0, beyond="sub", reduction="mean", return_grad=False, gradient="true"
):
    r"""ArcFace: m is added to the angle at the label.

    .. math:: z_j = s \cos\theta_j, \qquad z_y = s \cos(\theta_y + m)

    Parameters
    ----------
    x : array_like
        Feature vectors, (N, K).
    weight : array_like
        Class vectors, (C, K).
    labels : array_like of int
        The class of each row of `x`, (N,), in [0, C).
    m : float, optional
        What is added to the angle, in radians, in [0, pi].
    scale : float, optional
        The factor s of all cosines, above 0.
    beyond : {"sub", "wrap", "clamp", "easy"}, optional
        What stands for cos(theta + m) where theta + m is not below pi: cos(theta) - m sin(m) ("sub"), no rule at all
        ("wrap"), or -1 ("clamp"). "easy" instead takes cos(theta) wherever that is not above 0.
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
        `weight`. Each row is perpendicular to the vector that it belongs to.

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

    "sub" jumps at theta + m = pi, from -1 to -cos(m) - m sin(m).

    In the wild: m = 0.5 with scale 64, by default with "sub"; insightface's current code wraps and detaches.
    pytorch-metric-learning 2.8 gives m in degrees, 28.6.

    References
    ----------
    .. [1] J. Deng et al., "ArcFace: Additive angular margin loss for deep face recognition", CVPR 2019.
       :arxiv:`1801.07698`

    Examples
    --------
    >>> from stablesoft.margin import arcface
    >>> x, weight = [[3.0, 1.0]], [[5.0, 0.0], [1.0, 1.0]]
    >>> round(float(arcface(x, weight, [0], scale=8.0)), 6)
    1.874466
    >>> loss, grad_x, grad_weight = arcface([[2.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]], [0], scale=1.0, return_grad=True)
    >>> grad_x.round(6)
    array([[0.      , 0.146885]])
    """
    m, scale = as_angle(m, "m"), as_positive(scale, "scale")
    margin = angular_margin(1.0, m, 0.0, as_choice(beyond, "beyond", BEYOND))
    return margin_loss(x, weight, labels, margin, (scale, 1.0), reduction, return_grad, gradient)


def combined_margin(
    x,
    weight,
    labels,
    *,
    m1=1.0,
    m2=0.0,
    m3=0.0,
    scale=64.0,
    beyond="sub",
    reduction="mean",
    return_grad=False,
    gradient="true",
):
    r"""The combined margin: the angle at the label is multiplied and added to, its cosine is lowered.

    .. math:: z_j = s \cos\theta_j, \qquad z_y = s (\cos(m_1 \theta_y + m_2) - m_3)

    Parameters
    ----------
    x : array_like
        Feature vectors, (N, K).
    weight : array_like
        Class vectors, (C, K).
    labels : array_like of int
        The class of each row of `x`, (N,), in [0, C).
    m1 : float, optional
        Multiplier of the angle, above 0.
    m2 : float, optional
        What is added to the angle, in radians, in [0, pi].
    m3 : float, optional
        What is taken off the cosine.
    scale : float, optional
        The factor s of all cosines, above 0.
    beyond : {"sub", "wrap", "clamp", "easy"}, optional
        What stands for cos(m1 theta + m2) where m1 theta + m2 is not below pi: cos(theta) - m2 sin(m2) ("sub"), no rule
        at all ("wrap"), or -1 ("clamp"). "easy" instead takes cos(theta) wherever that is not above 0.
        With m1 = 1 and m2 = 0 there is nothing beyond, and all are the same.
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
        `weight`. Each row is perpendicular to the vector that it belongs to.

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

    In the wild: (m1, m2, m3) = (1, 0.5, 0) is ArcFace, (1, 0, 0.35) CosFace, (1.35, 0, 0) called SphereFace, and the
    paper's own mixtures are (1, 0.3, 0.2) and (0.9, 0.4, 0.15). insightface's class of this name does not combine: it
    ignores m1 and m2 when m3 is above 0.

    References
    ----------
    .. [1] J. Deng et al., "ArcFace: Additive angular margin loss for deep face recognition", CVPR 2019, eq. 4.
       :arxiv:`1801.07698`

    Examples
    --------
    >>> from stablesoft.margin import combined_margin
    >>> x, weight = [[3.0, 1.0]], [[5.0, 0.0], [1.0, 1.0]]
    >>> round(float(combined_margin(x, weight, [0], m1=0.9, m2=0.4, m3=0.15, scale=8.0)), 6)
    2.290051
    """
    m1, m2, m3 = as_positive(m1, "m1"), as_angle(m2, "m2"), as_real(m3, "m3")
    scale = as_positive(scale, "scale")
    margin = angular_margin(m1, m2, m3, as_choice(beyond, "beyond", BEYOND))
    return margin_loss(x, weight, labels, margin, (scale, 1.0), reduction, return_grad, gradient)
