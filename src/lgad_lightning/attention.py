"""Attention maps of feature tensors and the distance between two of them: the functional core of the distillation."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from lgad_lightning.errors import LgadError

Reduction = Literal["sum", "max"]
Normalisation = Literal["l2", "l1", "softmax", "zscore"]
Distance = Literal["squared", "kl"]

_TINY = 1e-12


def attention_map(features: Tensor, power: float = 2.0, reduction: Reduction = "sum") -> Tensor:
    """Where a layer looks: the magnitude of its activations over the channels.

    Args:
        features: A layer's output, `(B, C, H, W)`, any floating type.
        power: The exponent p of `|A|^p`; above 1 it favours the strongest channels.
        reduction: Whether `|A|^p` is summed over the channels or its maximum taken.

    Returns:
        Non-negative maps `(B, H, W)`, float32 (float64 for float64 features: half precision would overflow).

    Raises:
        LgadError: If there is no such reduction.

    Example:
        >>> attention_map(torch.tensor([[[[1.0, -2.0]], [[3.0, 0.0]]]]))
        tensor([[[10.,  4.]]])
    """
    features = features if features.dtype == torch.float64 else features.float()
    magnitude = features.pow(2) if power == 2 else features.abs().pow(power)
    if reduction == "sum":
        return magnitude.sum(1)
    if reduction == "max":
        return magnitude.amax(1)
    raise LgadError(f"reduction must be 'sum' or 'max', not {reduction!r}")


def normalise_attention(maps: Tensor, normalisation: Normalisation = "l2", temperature: float = 1.0) -> Tensor:
    """Bring maps to a common scale, each over its own cells.

    Args:
        maps: Attention maps, `(B, H, W)`.
        normalisation: `l2` divides by the Euclidean norm (Zagoruyko & Komodakis, ICLR 2017) and `l1` by the sum;
            `softmax` is the literal form of SAD and LGAD, which on a sum of squares over many channels saturates to
            one cell; `zscore` standardises the map before the softmax, which keeps it from saturating.
        temperature: Divides the exponents of `softmax` and `zscore`; higher is flatter.

    Returns:
        Maps `(B, H, W)` of unit norm (`l2`), or with cells that sum to 1 (the others).

    Raises:
        LgadError: If there is no such normalisation.

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
    """Resample maps bilinearly, averaging over the cells that fall together when the result is smaller.

    Args:
        maps: Attention maps, `(B, H, W)`.
        size: Height and width of the result.

    Returns:
        Maps `(B, *size)`; the very tensor that came in where the size is already right.

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
    """How far the student's attention is from the teacher's, averaged over the batch.

    Args:
        student: The student's maps, `(B, H, W)`.
        teacher: The teacher's maps, `(B, H', W')`; gradients flow into them unless they are detached.
        normalisation: See `normalise_attention`.
        distance: `squared` is the squared Euclidean distance summed over the map (divided by H x W it would vanish);
            `kl` the Kullback-Leibler divergence of the student's map from the teacher's, for maps that sum to 1.
        temperature: See `normalise_attention`.
        size: Resolution at which the maps are compared, the label's for instance; by default the smaller map's.

    Returns:
        A scalar >= 0. For `l2` and `squared` it lies between 0 (same map) and 2 (nothing in common).

    Raises:
        LgadError: If there is no such form, or `kl` is asked of `l2` maps, which are no distributions.

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
    """Over how many cells a map spreads: exp of the entropy, from 1 (one cell, saturated) to H x W (uniform).

    Args:
        maps: Normalised maps, `(B, H, W)`, non-negative; they are scaled to sum to 1.

    Returns:
        Perplexity of each map in cells, `(B,)`; a map of zeros counts as uniform.

    Example:
        >>> attention_perplexity(torch.ones(1, 2, 4)).round(decimals=3)
        tensor([8.])
    """
    cells = maps.flatten(1)
    entropy: Tensor = torch.special.entr(F.normalize(cells, p=1.0, dim=1, eps=_TINY)).sum(1)
    return torch.where(cells.any(1), entropy.exp(), float(cells.shape[1]))


def attention_agreement(student: Tensor, teacher: Tensor) -> Tensor:
    """How alike two attention maps are: the correlation of their cells, whatever their scales.

    Args:
        student: Maps `(B, H, W)`.
        teacher: Maps `(B, H', W')`; the larger of the two is resized to the smaller.

    Returns:
        Pearson's correlation of each pair, `(B,)`, from -1 to 1; 0 where a map is constant.

    Example:
        >>> ramp = torch.arange(8.0).view(1, 2, 4)
        >>> attention_agreement(ramp, 3 * ramp + 1).round(decimals=3)
        tensor([1.])
    """
    size = smaller_size(student, teacher)
    return F.cosine_similarity(_centred(resize_attention(student, size)), _centred(resize_attention(teacher, size)))


def smaller_size(student: Tensor, teacher: Tensor) -> tuple[int, int]:
    """Tell the size at which two maps are compared by default.

    Args:
        student: Maps or features, `(..., H, W)`.
        teacher: Maps or features, `(..., H', W')`.

    Returns:
        Height and width of the one with fewer cells.

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
    if normalisation == "zscore":
        cells = (cells - cells.mean(1, keepdim=True)) / (cells.std(1, keepdim=True) + _TINY)
    elif normalisation != "softmax":
        raise LgadError(f"normalisation must be 'l2', 'l1', 'softmax' or 'zscore', not {normalisation!r}")
    return cells / temperature


def _log_probabilities(maps: Tensor, normalisation: Normalisation, temperature: float) -> Tensor:
    cells = maps.flatten(1)
    if normalisation == "l2":
        raise LgadError("the distance 'kl' compares distributions: take the normalisation 'l1', 'softmax' or 'zscore'")
    if normalisation == "l1":
        return normalise_attention(maps, "l1").flatten(1).clamp_min(_TINY).log()
    return _logits(cells, normalisation, temperature).log_softmax(1)
