from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from typing_extensions import override

from lgad_lightning.callbacks.label_guided import LabelGuided
from lgad_lightning.callbacks.running_fit import RunningFit
from lgad_lightning.features import RecordedFeatures, pair_layers
from lgad_lightning.lanes import IGNORE_INDEX


class LabelAttention(LabelGuided):
    """The label map itself, resized, is where the student shall look: the control without a teacher.

    The target is 1 on every class but the background (0), ignored pixels excluded.

    Args:
        student_layers: The layers that learn; by default the student's numbered stages.
        weight: See `AttentionTransfer`.
        **kwargs: The other arguments of `AttentionTransfer`, and `ignore_index`, the label's value where nothing is
            known (255 unless given); with None every pixel counts, so that masks of 0 and 255 do.

    Example:
        >>> LabelAttention(["network.encoder.stage*"], weight=0.1, end=0.5).name
        'label_attention'
    """

    default_name = "label_attention"

    def __init__(self, student_layers: Sequence[str] | None = None, weight: float = 0.3, **kwargs: Any) -> None:
        super().__init__(None, student_layers, None, weight, **kwargs)

    @override
    def _pair_layers(self, module: nn.Module) -> list[tuple[str, str]]:
        return [(name, "label") for name, _ in pair_layers(module, self.student_layers, module, None)]

    @override
    def _target_features(self, fit: RunningFit, inputs: tuple[Any, ...], features: RecordedFeatures) -> list[Tensor]:
        (label,) = inputs
        lanes = label > 0
        if self.ignore_index is not None:
            lanes = lanes & (label != IGNORE_INDEX)
        return [lanes.float()[:, None]] * len(fit.pairs)
