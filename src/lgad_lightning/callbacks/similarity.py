from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import override

from lgad_lightning.callbacks.distillation import FeatureDistillation
from lgad_lightning.errors import LgadError


class SimilarityPreservingDistillation(FeatureDistillation):
    """Similarity-preserving distillation (Tung & Mori, ICCV 2019) compares which images of a batch are similar.

    Images that are similar for the teacher should be similar for the student. The similarities between all images of a
    batch, `(B, B)`, are compared, so the two sides may differ in channels and size. Each process compares only its own
    images.

    Args:
        teacher: See `FeatureDistillation`. All other arguments are also described there. The paper's weight is 3000.

    Example:
        >>> import torch
        >>> teacher = torch.nn.Conv2d(3, 8, 1)
        >>> callback = SimilarityPreservingDistillation(teacher, ["net.layer3"], ["stage3"], weight=3000.0)
        >>> features = torch.rand(2, 4, 6, 6)
        >>> callback.compute_loss([features], [features.repeat(1, 2, 1, 1)]) < 1e-9  # more channels, as similar
        tensor(True)
    """

    default_name = "similarity"

    @override
    def check_inputs(self, inputs: tuple[Any, ...]) -> None:
        """Refuse a first batch of one image.

        Raises:
            LgadError: If the first batch has only one image.
        """
        if self.running.looked == 1 and len(inputs[0]) < 2:
            raise LgadError(f"{type(self).__name__} compares the images of a batch: give batches of two or more")

    @override
    def compute_loss(self, student_features: list[Tensor], teacher_features: list[Tensor]) -> Tensor:
        """Add the mean squared differences between the similarities of student and teacher.

        Returns:
            The loss before weighting, a scalar. It is 0 for a last batch of one image, which has nothing to compare.
        """
        pairs = zip(student_features, teacher_features, strict=True)
        return self.added_up([(_similarity(s) - _similarity(t)).square().mean() for s, t in pairs])


def _similarity(features: Tensor) -> Tensor:
    images = features.float().flatten(1)
    with torch.autocast(features.device.type, enabled=False):  # float16 would overflow
        return F.normalize(images @ images.T, dim=1)
