from itertools import pairwise
from typing import NamedTuple

from torch import Tensor, nn

from lgad_lightning.errors import LgadError
from lgad_lightning.networks.existence import ExistenceHead
from lgad_lightning.rebuildable import Rebuildable


class LaneOutput(NamedTuple):
    """The output of every lane network. Both fields are raw scores, before softmax and sigmoid.

    Attributes:
        logits: Scores of the classes for each pixel, `(B, K, H, W)`.
        existence: Scores of the lane slots, `(B, K - 1)`. None if the network was built without the existence head.
    """

    logits: Tensor
    existence: Tensor | None


class LaneNetwork(Rebuildable, nn.Module):
    """Base of the lane networks: encoder, then decoder and existence head.

    A subclass builds an encoder and a decoder and passes them to this constructor. The encoder's submodules `stage1`,
    `stage2`, ... return one feature map each. The names `encoder.stage1` and so on are public and stable between
    releases. Hooks, such as those of attention distillation, use them.

    Args:
        encoder: Maps the input `(B, C, H, W)` to a tuple: first the features `(B, channels, H / 8, W / 8)`, then
            anything else that the decoder needs.
        decoder: Called with the items of this tuple. Returns logits at the size of the input.
        channels: Channels of the features.
        in_channels: Channels of the input: 3 for an image, K for a one-hot label map.
        num_classes: Classes K: the background and the lane slots.
        input_size: Usual `(height, width)` of the input in pixels. The existence head is built for this size. Inputs of
            another size work too.
        existence: Whether to build the existence head.
        multiple: Height and width of inputs must be multiples of this number: 8, or more for a deeper encoder.

    Raises:
        LgadError: If a side of `input_size` is not a multiple of `multiple` or is less than twice `multiple`, or if
            there are fewer than 2 classes.
    """

    STRIDE = 8

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        channels: int,
        in_channels: int,
        num_classes: int,
        input_size: tuple[int, int],
        existence: bool,
        multiple: int = STRIDE,
    ) -> None:
        super().__init__()
        self.multiple = multiple
        height, width = input_size
        self._check_size("input_size", height, width)
        if num_classes < 2:
            raise LgadError(f"num_classes={num_classes} must be at least 2: the background and a lane.")
        self.encoder = encoder
        self.decoder = decoder
        self.in_channels = in_channels
        self.num_classes = num_classes
        feature_size = (height // self.STRIDE, width // self.STRIDE)
        self.existence = ExistenceHead(channels, num_classes, feature_size) if existence else None

    def forward(self, x: Tensor) -> LaneOutput:
        """Segment a batch.

        Args:
            x: Input, `(B, in_channels, H, W)`. H and W are multiples of `multiple` (8) and at least twice `multiple`.

        Returns:
            Logits `(B, K, H, W)` and existence logits `(B, K - 1)` or None.

        Raises:
            LgadError: If the input has another number of channels, or if its height or width does not fit.
        """
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise LgadError(
                f"{type(self).__name__} was built for inputs (B, {self.in_channels}, H, W) but got {tuple(x.shape)}; "
                "`in_channels` sets the number of channels"
            )
        self._check_size("the input", x.shape[2], x.shape[3])
        features, *rest = self.encoder(x)
        logits = self.decoder(features, *rest)
        return LaneOutput(logits, None if self.existence is None else self.existence(features))

    def _check_size(self, what: str, height: int, width: int) -> None:
        padded = [max(2, -(-side // self.multiple)) * self.multiple for side in (height, width)]
        if padded != [height, width]:
            raise LgadError(
                f"{type(self).__name__}: {what} is {height} high and {width} wide, but both sides must be multiples of "
                f"{self.multiple} and at least {2 * self.multiple}; pad or resize to {padded[0]} x {padded[1]} (H x W)"
            )


def check_concatenation(in_channels: int, channels: tuple[int, int, int]) -> None:
    """Refuse channel counts that do not ascend. ENet and ERFNet concatenate new channels to the pooled ones.

    Args:
        in_channels: Channels of the input.
        channels: Channels at 1/2, 1/4 and 1/8 of the input's resolution.

    Raises:
        LgadError: If the four numbers do not ascend strictly.
    """
    counts = (in_channels, *channels)
    if any(before >= after for before, after in pairwise(counts)):
        raise LgadError(f"channels must ascend from in_channels={in_channels}, but channels={tuple(channels)}")
