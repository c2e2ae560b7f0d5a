"""Makes lane networks from encoders and heads of other libraries."""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lgad_lightning.errors import LgadError, first_line
from lgad_lightning.extras import import_extra
from lgad_lightning.networks.base import LaneNetwork

QUARTER = 4
"""The stride of `stage1` in every network."""


class LibraryEncoder(nn.Module):
    """An encoder of another library. Its feature maps go through `stage1`, `stage2`, ...

    The stages compute nothing: they are names for hooks. Maps at more than a quarter of the input's resolution go
    through no stage. So `stage1` is at a quarter, as in the other networks.

    Args:
        body: Maps the input `(B, C, H, W)` to a list of feature maps, from fine to coarse. Or to a tuple: first such a
            list, then anything else that the head needs.
        strides: The stride of each of these maps.

    Raises:
        LgadError: If no map is at a quarter of the input's resolution or less.
    """

    def __init__(self, body: nn.Module, strides: Sequence[int]) -> None:
        super().__init__()
        self.first = sum(stride < QUARTER for stride in strides)
        if self.first == len(strides):
            raise LgadError(
                f"The encoder's strides are {list(strides)}: it must go down to a quarter of the resolution."
            )
        self.stages = [f"stage{number}" for number in range(1, len(strides) - self.first + 1)]
        for stage in self.stages:
            self.add_module(stage, nn.Identity())
        self.body = body

    def forward(self, x: Tensor) -> tuple[Any, ...]:
        """Returns the deepest map, resized to an eighth of the input's resolution, then all maps, then the rest."""
        found = self.body(x)
        maps, *rest = found if isinstance(found, tuple) else (found,)
        coarse = [self.get_submodule(stage)(map_) for stage, map_ in zip(self.stages, maps[self.first :], strict=True)]
        size = (x.shape[2] // LaneNetwork.STRIDE, x.shape[3] // LaneNetwork.STRIDE)
        return (resized(coarse[-1], size), [*maps[: self.first], *coarse], *rest)


class LibraryDecoder(nn.Module):
    """A head of another library on the maps of a `LibraryEncoder`. Its logits are resized to the input.

    Args:
        head: Called with all items that the encoder returns, except the first. Returns logits of any size.
    """

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor, *maps: Any) -> Tensor:
        """Logits `(B, K, 8 h, 8 w)` for features `(B, C, h, w)`."""
        size = (features.shape[2] * LaneNetwork.STRIDE, features.shape[3] * LaneNetwork.STRIDE)
        return resized(self.head(*maps), size)


def resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resizes maps `(B, C, h, w)` to a height and width by bilinear interpolation."""
    return maps if maps.shape[2:] == size else F.interpolate(maps, size, mode="bilinear")


def check_name(what: str, name: str, known: Iterable[str]) -> None:
    """Refuse a name that a library does not know.

    Args:
        what: The kind of the name, for the message.
        name: The name.
        known: The names that the library knows.

    Raises:
        LgadError: If the name is not known. The message gives the nearest names.
    """
    names = list(known)
    if name not in names:
        near = difflib.get_close_matches(name, names, n=5, cutoff=0.5) or sorted(names)[:12]
        raise LgadError(f"{what}={name!r} is not known; there is {', '.join(near)}.")


def read_weights(path: str) -> dict[str, Tensor]:
    """Reads the tensors of a file of weights.

    Args:
        path: A safetensors file, or a file of `torch.save` with a `state_dict`. Reading it runs no code.
    """
    if Path(path).suffix == ".safetensors":
        weights: dict[str, Tensor] = import_extra("safetensors.torch", "hub", path).load_file(path)
        return weights
    found = torch.load(path, map_location="cpu", weights_only=True)
    return dict(found.get("state_dict", found))


@contextmanager
def making(network: str, pretrained: bool | str) -> Iterator[None]:
    """Turns errors of a library that makes a network, such as failed downloads, into LgadErrors.

    Args:
        network: The network that is made, for the message.
        pretrained: Where its weights come from: nowhere, the hub (True) or a file.

    Raises:
        LgadError: If the file does not exist, or if the block raises an error.
    """
    if isinstance(pretrained, str) and not Path(pretrained).exists():
        raise LgadError(f"{network}: there is no file {pretrained} (pretrained=). True takes the weights of the hub.")
    try:
        yield
    except LgadError:
        raise
    except Exception as error:  # the libraries raise errors of many types
        reason = f"{type(error).__name__}: {first_line(error)}"
        if pretrained is True:
            raise LgadError(
                f"The pretrained weights of {network} cannot be had from the hub ({reason}). Without network: fetch"
                " them once where there is one and copy the hub's cache (HF_HOME) here, or give a local file,"
                " pretrained=PATH, or begin with random weights, pretrained=false."
            ) from error
        with_weights = f" with the weights of {pretrained}" if pretrained else ""
        raise LgadError(f"{network} cannot be made{with_weights} ({reason}).") from error
