"""Teachers that the studies compare with LGAD's own. What wins moves into the package."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from lgad_lightning import LabelGuidedAttentionDistillation, LaneTeacher
from lgad_lightning.batch_items import image_of
from lgad_lightning.callbacks.channel_wise import channel_divergence
from lgad_lightning.data import LaneBatch
from lgad_lightning.modules.teacher import encode_label
from lgad_lightning.networks import LaneOutput


class RestoringTeacher(LaneTeacher):
    """A teacher that must complete what is hidden from it: rows of the label map, and now and then a whole lane.

    Args:
        hidden: Share of the rows that is hidden, in a few bands.
        dropped: Probability that a lane is hidden.
        **kwargs: The arguments of `LaneTeacher`.
    """

    bands = 4

    def __init__(self, *args: Any, hidden: float = 0.3, dropped: float = 0.1, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.hidden, self.dropped = hidden, dropped

    @override
    def network_input(self, batch: LaneBatch) -> Tensor:
        planes = super().network_input(batch)
        if not self.training:
            return planes
        images, lanes, height, _ = planes.shape
        long = max(1, round(self.hidden * height / self.bands))
        first = torch.randint(0, height - long + 1, (images, self.bands, 1), device=planes.device)
        rows = torch.arange(height, device=planes.device)
        shown = ((rows < first) | (rows >= first + long)).all(1)[:, None, :, None]
        kept = torch.rand(images, lanes, 1, 1, device=planes.device) >= self.dropped
        kept[:, 0] = True
        seen = planes * shown * kept
        seen[:, 0] = planes.sum(1) - seen[:, 1:].sum(1)  # what is hidden looks like background
        return seen


class HalfSizeTeacher(LaneTeacher):
    """A teacher that reads and reproduces label maps at half their size, for a quarter of the cost."""

    @override
    def forward(self, label: Tensor) -> LaneOutput:
        return super().forward(halved(label))

    @override
    def training_step(self, batch: LaneBatch, batch_idx: int) -> Tensor:
        return super().training_step({**batch, "label": halved(batch["label"])}, batch_idx)

    @override
    def evaluation_step(self, batch: LaneBatch, split: str) -> LaneOutput:
        return super().evaluation_step({**batch, "label": halved(batch["label"])}, split)


def halved(label: Tensor) -> Tensor:
    """A label map at half its size. A thin lane stays whole: of four pixels the largest value is kept.

    Args:
        label: `(B, H, W)`, integer, 255 where nothing is known.

    Returns:
        `(B, H // 2, W // 2)`, int64.
    """
    return F.max_pool2d(label.float(), 2).long()


class ImageTeacher(LaneTeacher):
    """A teacher that sees the image, as in plain attention transfer; three input channels."""

    @override
    def forward(self, image: Tensor) -> LaneOutput:
        output: LaneOutput = self.network(image)
        return output

    @override
    def network_input(self, batch: LaneBatch) -> Tensor:
        return batch["image"]


class SeeingTeacher(LaneTeacher):
    """A teacher that sees image and lanes, after Label Assisted Distillation (arXiv 2407.13254); four input channels.

    Each lane is drawn with a random value, new at every call, and noise, so that the classes cannot be read off.

    Args:
        noise: Standard deviation of the noise.
        **kwargs: The arguments of `LaneTeacher`.
    """

    def __init__(self, *args: Any, noise: float = 0.1, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.noise = noise
        self.random = torch.Generator().manual_seed(0)  # its own: the student draws the same numbers as without

    @override
    def forward(self, label: Tensor, image: Tensor) -> LaneOutput:
        output: LaneOutput = self.network(self._seen(label, image))
        return output

    @override
    def network_input(self, batch: LaneBatch) -> Tensor:
        return self._seen(batch["label"], batch["image"])

    def _seen(self, label: Tensor, image: Tensor) -> Tensor:
        planes = encode_label(label, self.num_classes)[:, 1:]
        values = torch.rand(*planes.shape[:2], 1, 1, generator=self.random) + 0.5
        drawn = (planes * values.to(planes)).sum(1, keepdim=True)
        noise = torch.randn(drawn.shape, generator=self.random).to(drawn)
        return torch.cat([image, drawn + self.noise * noise], dim=1)


class SeeingLGAD(LabelGuidedAttentionDistillation):
    """LGAD under a teacher that sees image and lanes."""

    @override
    def teacher_inputs(self, batch: Any) -> tuple[Any, ...]:
        return (*super().teacher_inputs(batch), image_of(batch, self.image))


class SeeingLGADWithLogits(SeeingLGAD):
    """The same, with channel-wise distillation of the last pair, which must be that of the logits.

    Args:
        logits: Factor of the channel-wise part. With the default weight of LGAD, ten gives the 3 of its paper.
        **kwargs: The arguments of LGAD.
    """

    def __init__(self, *args: Any, logits: float = 10.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logits = logits

    @override
    def compute_loss(self, student_features: list[Tensor], teacher_features: list[Tensor]) -> Tensor:
        attention = super().compute_loss(student_features[:-1], teacher_features[:-1])
        return attention + self.logits * channel_divergence(student_features[-1], teacher_features[-1], 4.0)
