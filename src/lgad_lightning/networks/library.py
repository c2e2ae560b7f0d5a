"""What lets an encoder and a head of another library be a lane network."""

import difflib
import importlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lgad_lightning.errors import LgadError
from lgad_lightning.networks.base import LaneNetwork

QUARTER = 4
"""The stride of `stage1` in every network."""


class LibraryEncoder(nn.Module):
    """A library's encoder whose feature maps pass `stage1`, `stage2`, ... on their way out.

    The stages compute nothing: they are names for hooks. Maps of more than a quarter of the input's resolution pass
    none, so that `stage1` is at a quarter, as in the other networks.

    Args:
        body: Maps the input `(B, C, H, W)` to a list of feature maps, fine to coarse, or to a tuple of such a list and
            what else the head needs.
        strides: The stride of each of these maps.

    Raises:
        LgadError: If none of them is of a quarter of the input's resolution or less.
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
        """The deepest map at an eighth of the input's resolution, all maps, and what else there is."""
        found = self.body(x)
        maps, *rest = found if isinstance(found, tuple) else (found,)
        coarse = [self.get_submodule(stage)(map_) for stage, map_ in zip(self.stages, maps[self.first :], strict=True)]
        size = (x.shape[2] // LaneNetwork.STRIDE, x.shape[3] // LaneNetwork.STRIDE)
        return (resized(coarse[-1], size), [*maps[: self.first], *coarse], *rest)


class LibraryDecoder(nn.Module):
    """A library's head on the maps of a `LibraryEncoder`; its logits are resized to the input.

    Args:
        head: Called with all that the encoder returns but the first; returns logits of any size.
    """

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor, *maps: Any) -> Tensor:
        """Logits `(B, K, 8 h, 8 w)` for features `(B, C, h, w)`."""
        size = (features.shape[2] * LaneNetwork.STRIDE, features.shape[3] * LaneNetwork.STRIDE)
        return resized(self.head(*maps), size)


def resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps `(B, C, h, w)` of another height and width, bilinear."""
    return maps if maps.shape[2:] == size else F.interpolate(maps, size, mode="bilinear")


def import_library(name: str, network: str, extra: str = "zoo") -> Any:
    """A library that an extra brings along.

    Args:
        name: The module.
        network: What needs it.
        extra: The extra.

    Raises:
        LgadError: If it is not installed; says what to install.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise LgadError(f'{network} comes through {name}: pip install "lgad-lightning[{extra}]"') from error


def check_name(what: str, name: str, known: Iterable[str]) -> None:
    """Refuse a name that a library does not know.

    Args:
        what: What is named.
        name: Its name.
        known: The names that the library knows.

    Raises:
        LgadError: With the nearest names.
    """
    names = list(known)
    if name not in names:
        near = difflib.get_close_matches(name, names, n=5, cutoff=0.5) or sorted(names)[:12]
        raise LgadError(f"{what}={name!r} is not known; there is {', '.join(near)}.")


def read_weights(path: str) -> dict[str, Tensor]:
    """The tensors of a file of weights.

    Args:
        path: A file of safetensors, or one of `torch.save` with a `state_dict`, which runs no code.
    """
    if Path(path).suffix == ".safetensors":
        weights: dict[str, Tensor] = import_library("safetensors.torch", path).load_file(path)
        return weights
    found = torch.load(path, map_location="cpu", weights_only=True)
    return dict(found.get("state_dict", found))


@contextmanager
def making(network: str, pretrained: bool | str) -> Iterator[None]:
    """Tells mistakes and failed downloads that a library meets while it makes a network.

    Args:
        network: What is made.
        pretrained: Where its weights come from: nowhere, the hub (True) or a file.

    Raises:
        LgadError: If the file does not exist, or anything is raised in the block.
    """
    if isinstance(pretrained, str) and not Path(pretrained).exists():
        raise LgadError(f"{network}: there is no file {pretrained} (pretrained=). True takes the weights of the hub.")
    try:
        yield
    except LgadError:
        raise
    except Exception as error:  # the libraries and what they download with raise what they like
        reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no reason'}"
        if pretrained is True:
            raise LgadError(
                f"The pretrained weights of {network} cannot be had from the hub ({reason}). Without network: fetch"
                " them once where there is one and copy the hub's cache (HF_HOME) here, or give a local file,"
                " pretrained=PATH, or begin with random weights, pretrained=false."
            ) from error
        with_weights = f" with the weights of {pretrained}" if pretrained else ""
        raise LgadError(f"{network} cannot be made{with_weights} ({reason}).") from error
