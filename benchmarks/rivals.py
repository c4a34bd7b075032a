"""What users would write themselves where no library has the function. No care is taken for any hard input."""

import numpy as np


def arcface(x, weight, labels, m=0.5, scale=64.0):
    """Loss and gradients by the textbook, in NumPy."""
    rows = np.arange(len(labels))
    x_norm, weight_norm = (np.linalg.norm(v, axis=1, keepdims=True) for v in (x, weight))
    x, weight = x / x_norm, weight / weight_norm
    logits = x @ weight.T
    angle = np.arccos(np.clip(logits[rows, labels], -1, 1))
    logits[rows, labels] = np.cos(angle + m)
    logits *= scale
    logits -= logits.max(axis=1, keepdims=True)
    p = np.exp(logits)
    total = p.sum(axis=1, keepdims=True)
    loss = np.mean(np.log(total[:, 0]) - logits[rows, labels])
    p /= total
    p[rows, labels] -= 1
    p *= scale / len(labels)
    p[rows, labels] *= np.sin(angle + m) / np.sin(angle)
    grad_x, grad_weight = p @ weight, p.T @ x
    grad_x -= x * np.sum(grad_x * x, axis=1, keepdims=True)
    grad_weight -= weight * np.sum(grad_weight * weight, axis=1, keepdims=True)
    return loss, grad_x / x_norm, grad_weight / weight_norm


def arcface_torch(nn, x, weight, labels, m=0.5, scale=64.0):
    """Forward and backward of `nn`, torch.nn.functional."""
    x.grad = weight.grad = None
    cosine = nn.normalize(x) @ nn.normalize(weight).T
    target = (cosine.gather(1, labels[:, None]).clamp(-1, 1).acos() + m).cos()
    nn.cross_entropy(scale * cosine.scatter(1, labels[:, None], target), labels).backward()
