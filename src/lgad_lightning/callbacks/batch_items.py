"""Where the parts of a batch are: the convention behind every `teacher_inputs`."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from lgad_lightning.errors import LgadError


def image_of(batch: Any) -> Tensor:
    """Find the images: under `image` in a mapping, first in a tuple or list, or the batch itself.

    Args:
        batch: What `training_step` is given.

    Returns:
        The images, `(B, 3, H, W)` in the usual case.

    Raises:
        LgadError: If there is nothing at that place.

    Example:
        >>> import torch
        >>> image_of({"image": torch.zeros(1, 3, 4, 4), "label": torch.zeros(1, 4, 4)}).shape
        torch.Size([1, 3, 4, 4])
    """
    return batch if isinstance(batch, Tensor) else _find(batch, "image", 0)


def label_of(batch: Any) -> Tensor:
    """Find the label maps: under `label` or `mask` in a mapping, second in a tuple or list.

    Args:
        batch: What `training_step` is given.

    Returns:
        The label maps, `(B, H, W)` also where the batch has them as `(B, 1, H, W)`.

    Raises:
        LgadError: If there is nothing at that place, or one-hot planes.

    Example:
        >>> import torch
        >>> label_of((torch.zeros(1, 3, 4, 4), torch.zeros(1, 1, 4, 4))).shape
        torch.Size([1, 4, 4])
    """
    key = "mask" if isinstance(batch, Mapping) and "label" not in batch and "mask" in batch else "label"
    label = _find(batch, key, 1)
    if label.ndim != 4:
        return label
    if label.shape[1] != 1:
        raise LgadError(
            f"the labels have the shape {tuple(label.shape)}, one-hot planes by the look of it, where (B, H, W) or"
            " (B, 1, H, W) with the numbers of the classes is wanted: subclass the callback and override"
            " teacher_inputs(batch) to return the tuple of their argmax(1)"
        )
    return label[:, 0]


def _find(batch: Any, key: str, index: int) -> Tensor:
    if isinstance(batch, Mapping) and key in batch:
        found = batch[key]
    elif isinstance(batch, Sequence) and len(batch) > index:
        found = batch[index]
    else:
        found = None
    if isinstance(found, Tensor):
        return found
    held = f"the keys {', '.join(map(str, batch))}" if isinstance(batch, Mapping) else f"a {type(batch).__name__}"
    raise LgadError(
        f"no tensor {key!r} (or at position {index}) in a batch with {held}: "
        "subclass the callback and override teacher_inputs(batch) to say where it is"
    )
