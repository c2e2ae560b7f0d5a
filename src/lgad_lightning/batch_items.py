"""Finds the images and the label maps in a batch. The distillation callbacks and the teacher use these functions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from lgad_lightning.errors import LgadError
from lgad_lightning.feature_layout import fits

Where = int | str | Callable[[Any], Tensor]  # in this order: LightningCLI takes the first that fits
"""A key of the batch, a position in the batch, or a function of the batch."""

_LABEL_KEYS = ("label", "mask", "labels")
_IMAGE_KEYS = ("image", "pixel_values", "images")


def image_of(batch: Any, where: Where | None = None) -> Tensor:
    """Find the images: the key `image`, the first tensor `(B, C, H, W)` of a tuple or list, or the batch itself.

    In a mapping or an object, the keys or attributes `pixel_values` and `images` are also tried.

    Args:
        batch: The batch that `training_step` gets.
        where: Where the images are. By default, the usual places are searched.

    Returns:
        The images, usually `(B, 3, H, W)`.

    Raises:
        LgadError: If there are no images.

    Example:
        >>> import torch
        >>> image_of({"image": torch.zeros(1, 3, 4, 4), "label": torch.zeros(1, 4, 4)}).shape
        torch.Size([1, 3, 4, 4])
    """
    if where is not None:
        return _at(batch, where, "image")
    if isinstance(batch, Tensor):
        return batch
    found = [item for item in _items(batch, _IMAGE_KEYS) if isinstance(item, Tensor) and item.ndim == 4]
    if found:
        return found[0]
    raise LgadError(f"no images (B, C, H, W) in a batch of {describe(batch)}: {_say_where('image', batch)}")


def label_of(batch: Any, where: Where | None = None) -> Tensor:
    """Find the label maps: the keys or attributes `label`, `mask` or `labels`, or the second item of a tuple or list.

    In a tuple or list, items without the shape of label maps (numbers, names, images) are ignored, and so are tensors
    that are not of the images' shape, such as row anchors. Tensors of whole numbers are preferred.

    Args:
        batch: The batch that `training_step` gets.
        where: Where the label maps are. By default, the usual places are searched.

    Returns:
        The label maps, `(B, H, W)`. If the batch has them as `(B, 1, H, W)`, they are returned as `(B, H, W)`.

    Raises:
        LgadError: If no tensor has this shape, if several have it, or if there are only one-hot planes.

    Example:
        >>> import torch
        >>> label_of((torch.zeros(1, 3, 4, 4), torch.tensor([7]), torch.zeros(1, 1, 4, 4))).shape
        torch.Size([1, 4, 4])
    """
    if where is not None:
        return _without_plane(_at(batch, where, "label"), batch)
    tensors = [item for item in _items(batch, _LABEL_KEYS) if isinstance(item, Tensor) and not item.is_sparse]
    candidates = [item for item in tensors if _is_map(item)]
    if isinstance(batch, Sequence):
        size = size_of(batch)
        images = batch[0] if len(batch) > 1 and isinstance(batch[0], Tensor) and batch[0].ndim == 4 else None
        candidates = [item for item in candidates if item is not images]  # they may be grey
        candidates = [item for item in candidates if size is None or fits((item.shape[-2], item.shape[-1]), size)]
    candidates = [item for item in candidates if not item.is_floating_point()] or candidates
    if isinstance(batch, Sequence) and len(candidates) > 1:
        second = [item for item in candidates if item is _second(batch)]
        if not second:
            raise LgadError(f"several label maps in a batch of {describe(batch)}: {_say_where('label', batch)}")
        candidates = second
    if candidates:
        return _without_plane(candidates[0], batch)
    planes = [item for item in tensors if item.ndim == 4 and (isinstance(batch, Mapping) or item is _second(batch))]
    if planes:
        return _without_plane(planes[0], batch)
    raise LgadError(f"no 'label' maps (B, H, W) in a batch of {describe(batch)}: {_say_where('label', batch)}")


def size_of(batch: Any, image: Where | None = None) -> tuple[int, int] | None:
    """Return the size of the images in a batch.

    Args:
        batch: The batch that `training_step` gets.
        image: Where the images are, if not at the usual places.

    Returns:
        Height and width, or None if no images are found.

    Example:
        >>> import torch
        >>> size_of((torch.zeros(1, 3, 4, 8), torch.zeros(1, 4, 8)))
        (4, 8)
    """
    try:
        found = image_of(batch, image)
    except LgadError:
        return None
    return (found.shape[-2], found.shape[-1]) if found.ndim == 4 else None


def describe(batch: Any) -> str:
    """Describe the contents of a batch.

    Args:
        batch: Any object.

    Returns:
        The type and shape of each element.

    Example:
        >>> import torch
        >>> describe({"name": ["a.jpg"], "mask": torch.zeros(1, 4, 4, dtype=torch.long)})
        'name: list of 1, mask: int64 (1, 4, 4)'
        >>> describe((torch.zeros(2, 3), "a.jpg"))
        '0: float32 (2, 3), 1: str'
    """
    if isinstance(batch, Mapping):
        return ", ".join(f"{key}: {_describe(item)}" for key, item in batch.items()) or "nothing"
    if is_dataclass(batch):
        return describe({field.name: getattr(batch, field.name) for field in fields(batch)})
    if isinstance(batch, tuple | list):
        return ", ".join(f"{index}: {_describe(item)}" for index, item in enumerate(batch)) or "nothing"
    return _describe(batch)


def _describe(item: Any) -> str:
    if isinstance(item, Tensor):
        return f"{str(item.dtype).removeprefix('torch.')} {tuple(item.shape)}"
    return f"{type(item).__name__} of {len(item)}" if isinstance(item, list | tuple | dict) else type(item).__name__


def _items(batch: Any, keys: Sequence[str]) -> list[Any]:
    if isinstance(batch, Mapping):
        return [batch[key] for key in keys if key in batch]
    if isinstance(batch, tuple | list):
        return list(batch)
    return [getattr(batch, key) for key in keys if hasattr(batch, key)]


def _second(batch: Any) -> Any:
    return batch[1] if len(batch) > 1 else None


def _at(batch: Any, where: Where, what: str) -> Tensor:
    try:
        if isinstance(where, str) and not isinstance(batch, Mapping):
            found = getattr(batch, where)
        else:
            found = where(batch) if callable(where) else batch[where]
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise LgadError(f"{what}={where!r}: nothing there in a batch of {describe(batch)}") from error
    if not isinstance(found, Tensor):
        raise LgadError(f"{what}={where!r} is a {_describe(found)}, no tensor, in a batch of {describe(batch)}")
    return found


def _is_map(item: Tensor) -> bool:
    return item.ndim == 3 or (item.ndim == 4 and item.shape[1] == 1)


def _without_plane(label: Tensor, batch: Any) -> Tensor:
    if label.dtype in (torch.uint16, torch.uint32, torch.uint64):  # torch computes little with these
        label = label.long()
    if label.ndim == 3:
        return label
    if label.ndim == 4 and label.shape[1] == 1:
        return label[:, 0]
    planes = ", one-hot planes by the look of it," if label.ndim == 4 else ""
    classes = -1 if label.ndim == 4 and tuple(label.shape[1:3]) == size_of(batch) else 1
    raise LgadError(
        f"the labels have the shape {tuple(label.shape)}{planes} where (B, H, W) or (B, 1, H, W) with the numbers of"
        f" the classes is wanted, in a batch of {describe(batch)}: give the teacher and the callback label=."
        f" For planes, it is a function of the batch that returns their argmax({classes})"
    )


def _say_where(what: str, batch: Any) -> str:
    example = {"image": 0, "label": 1}[what] if isinstance(batch, tuple | list) else f"{what!r}"
    who = "the teacher and the callback" if what == "label" else "the callback"
    return (
        f"give {who} {what}=, the key, position or function of the batch where they are (for example {what}={example})"
    )
