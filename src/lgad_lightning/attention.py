"""Attention maps of features, and the distance between two maps. The distillation callbacks use these functions."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from lgad_lightning.errors import LgadError

Reduction = Literal["sum", "max"]
Normalisation = Literal["l2", "l1", "softmax", "zscore"]
Distance = Literal["squared", "kl"]

_TINY = 1e-12
_EVEN = 1e-4  # share of the mean: a map that varies less is even, and its variation is rounding


def attention_map(features: Tensor, power: float = 2.0, reduction: Reduction = "sum") -> Tensor:
    """Computes where a layer is active: the sum or maximum over the channels of `|A|^p`.

    Args:
        features: The output of a layer, `(B, C, H, W)`, of any floating-point type.
        power: The exponent p, at least 1. Above 1, strong channels count more. (Below 1, a zero has no gradient.)
        reduction: Whether to take the sum or the maximum over the channels.

    Returns:
        Non-negative maps `(B, H, W)` in float32, because half precision would overflow (float64 for float64 features).

    Raises:
        LgadError: If the reduction is unknown, or the power is below 1.

    Example:
        >>> attention_map(torch.tensor([[[[1.0, -2.0]], [[3.0, 0.0]]]]))
        tensor([[[10.,  4.]]])
    """
    if power < 1:
        raise LgadError(f"power must be at least 1, not {power}: below, the gradient at zero is infinite")
    features = features if features.dtype == torch.float64 else features.float()
    magnitude = features.pow(2) if power == 2 else features.abs().pow(power)
    if reduction == "sum":
        return magnitude.sum(1)
    if reduction == "max":
        return magnitude.amax(1)
    raise LgadError(f"reduction must be 'sum' or 'max', not {reduction!r}")


def normalise_attention(maps: Tensor, normalisation: Normalisation = "l2", temperature: float = 1.0) -> Tensor:
    """Normalise each map over its cells.

    Args:
        maps: Attention maps, `(B, H, W)`.
        normalisation: `l2` divides by the Euclidean norm (Zagoruyko & Komodakis, ICLR 2017), `l1` by the sum.
            `softmax` is the form of the papers on SAD and LGAD. With sums of squares over many channels it saturates:
            one cell gets everything. `zscore` standardises the map before the softmax, so that it does not saturate.
        temperature: Divides the exponents of `softmax` and `zscore`. A higher value gives flatter maps.

    Returns:
        Maps `(B, H, W)` with norm 1 (`l2`), or with cells that sum to 1 (the others).

    Raises:
        LgadError: If the normalisation is unknown, or the temperature is not above 0.

    Example:
        >>> normalise_attention(torch.tensor([[[3.0, 4.0]]]))
        tensor([[[0.6000, 0.8000]]])
    """
    cells = maps.flatten(1)
    if normalisation == "l2":
        return F.normalize(cells, p=2.0, dim=1, eps=_TINY).view_as(maps)
    if normalisation == "l1":
        return F.normalize(cells, p=1.0, dim=1, eps=_TINY).view_as(maps)
    return _logits(cells, normalisation, temperature).softmax(1).view_as(maps)


def resize_attention(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize maps bilinearly. If the result is smaller, cells are averaged (antialiasing).

    Args:
        maps: Attention maps, `(B, H, W)`.
        size: Height and width of the result.

    Returns:
        Maps `(B, *size)`. If the size is already right, the same tensor is returned.

    Example:
        >>> resize_attention(torch.ones(2, 8, 8), (4, 4)).shape
        torch.Size([2, 4, 4])
    """
    if maps.shape[-2:] == size:
        return maps
    return F.interpolate(maps[:, None], size, mode="bilinear", align_corners=False, antialias=True)[:, 0]


def attention_distance(
    student: Tensor,
    teacher: Tensor,
    normalisation: Normalisation = "l2",
    distance: Distance = "squared",
    temperature: float = 1.0,
    size: tuple[int, int] | None = None,
) -> Tensor:
    """Compute the distance between the attention maps of student and teacher, averaged over the batch.

    Args:
        student: The student's maps, `(B, H, W)`.
        teacher: The teacher's maps, `(B, H', W')`. They get gradients unless they are detached.
        normalisation: See `normalise_attention`.
        distance: `squared` is the sum of squared differences over the map. (The mean would be too small.) `kl` is the
            Kullback-Leibler divergence between the maps of teacher and student; it needs maps that sum to 1.
        temperature: See `normalise_attention`.
        size: Height and width at which the maps are compared, for example those of the label. By default, those of the
            smaller map.

    Returns:
        A scalar >= 0. For `l2` and `squared`, it is between 0 (same map) and 2 (nothing in common).

    Raises:
        LgadError: If the form is unknown, or if `kl` is combined with `l2`, whose maps are not distributions.

    Example:
        >>> left, right = torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[0.0, 1.0]]])
        >>> attention_distance(left, right)
        tensor(2.)
    """
    if size is None:
        size = smaller_size(student, teacher)
    student, teacher = resize_attention(student, size), resize_attention(teacher, size)
    if distance == "kl":
        target = _log_probabilities(teacher, normalisation, temperature)
        return F.kl_div(
            _log_probabilities(student, normalisation, temperature), target, reduction="batchmean", log_target=True
        )
    if distance != "squared":
        raise LgadError(f"distance must be 'squared' or 'kl', not {distance!r}")
    difference = normalise_attention(student, normalisation, temperature) - normalise_attention(
        teacher, normalisation, temperature
    )
    return difference.pow(2).flatten(1).sum(1).mean()


def attention_perplexity(maps: Tensor) -> Tensor:
    """Compute over how many cells a map spreads: exp of the entropy, from 1 (one cell) to H x W (uniform).

    Args:
        maps: Non-negative maps, `(B, H, W)`. They are scaled to sum to 1.

    Returns:
        The perplexity of each map in cells, `(B,)`. A map of zeros counts as uniform.

    Example:
        >>> attention_perplexity(torch.ones(1, 2, 4)).round(decimals=3)
        tensor([8.])
    """
    cells = maps.flatten(1)
    entropy: Tensor = torch.special.entr(F.normalize(cells, p=1.0, dim=1, eps=_TINY)).sum(1)
    return torch.where(cells.any(1), entropy.exp(), float(cells.shape[1]))


def attention_agreement(student: Tensor, teacher: Tensor) -> Tensor:
    """Compute how similar two attention maps are: the correlation of their cells. The scale does not matter.

    Args:
        student: Maps `(B, H, W)`.
        teacher: Maps `(B, H', W')`. The larger of the two maps is resized to the smaller one.

    Returns:
        Pearson's correlation of each pair, `(B,)`, from -1 to 1. It is 0 if a map is constant.

    Example:
        >>> ramp = torch.arange(8.0).view(1, 2, 4)
        >>> attention_agreement(ramp, 3 * ramp + 1).round(decimals=3)
        tensor([1.])
    """
    size = smaller_size(student, teacher)
    return F.cosine_similarity(_centred(resize_attention(student, size)), _centred(resize_attention(teacher, size)))


def smaller_size(student: Tensor, teacher: Tensor) -> tuple[int, int]:
    """Return the size at which two maps are compared by default.

    Args:
        student: Maps or features, `(..., H, W)`.
        teacher: Maps or features, `(..., H', W')`.

    Returns:
        Height and width of the map with fewer cells.

    Example:
        >>> smaller_size(torch.zeros(1, 8, 8), torch.zeros(1, 4, 4))
        (4, 4)
    """
    return min(_size(student), _size(teacher), key=lambda hw: hw[0] * hw[1])


def _centred(maps: Tensor) -> Tensor:
    cells = maps.flatten(1)
    return cells - cells.mean(1, keepdim=True)


def _size(maps: Tensor) -> tuple[int, int]:
    return maps.shape[-2], maps.shape[-1]


def _logits(cells: Tensor, normalisation: Normalisation, temperature: float) -> Tensor:
    if temperature <= 0:
        raise LgadError(f"temperature must be above 0, not {temperature}")
    if normalisation == "zscore":
        spread = cells.std(1, keepdim=True, correction=min(1, cells.shape[1] - 1))  # one cell: 0, and not NaN
        mean = cells.mean(1, keepdim=True)
        cells = (cells - mean) / (torch.maximum(spread, _EVEN * mean.abs()) + _TINY)
    elif normalisation != "softmax":
        raise LgadError(f"normalisation must be 'l2', 'l1', 'softmax' or 'zscore', not {normalisation!r}")
    return cells / temperature


def _log_probabilities(maps: Tensor, normalisation: Normalisation, temperature: float) -> Tensor:
    cells = maps.flatten(1)
    if normalisation == "l2":
        raise LgadError("the distance 'kl' compares distributions: use the normalisation 'l1', 'softmax' or 'zscore'")
    if normalisation == "l1":
        return normalise_attention(maps, "l1").flatten(1).clamp_min(_TINY).log()
    return _logits(cells, normalisation, temperature).log_softmax(1)
