from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from typing_extensions import override

from lgad_lightning.callbacks.attention_transfer import AttentionTransfer
from lgad_lightning.callbacks.batch_items import label_of
from lgad_lightning.callbacks.running_fit import RunningFit
from lgad_lightning.features import RecordedFeatures, pair_layers
from lgad_lightning.lanes import IGNORE_INDEX


class LabelAttention(AttentionTransfer):
    """The label map itself, resized, is where the student shall look: the control without a teacher.

    The target is 1 on every class but the background (0), ignored pixels (255) excluded.

    Args:
        student_layers: The layers that learn; by default the student's numbered stages.
        weight: See `AttentionTransfer`.
        **kwargs: The other arguments of `AttentionTransfer`.

    Example:
        >>> LabelAttention(["network.encoder.stage*"], weight=0.1, end=0.5).name
        'label_attention'
    """

    default_name = "label_attention"

    def __init__(self, student_layers: Sequence[str] | None = None, weight: float = 0.3, **kwargs: Any) -> None:
        super().__init__(None, student_layers, None, weight, **kwargs)

    @override
    def teacher_inputs(self, batch: Any) -> tuple[Any, ...]:
        """Find the label map: where `label` says, else `label` or `mask` in a mapping, the second of a tuple.

        Args:
            batch: What `training_step` is given, after its transfer to the device.

        Returns:
            The label map alone, `(B, H, W)`.
        """
        return (label_of(batch, self.label),)

    @override
    def _pair_layers(self, module: nn.Module) -> list[tuple[str, str]]:
        return [(name, "label") for name, _ in pair_layers(module, self.student_layers, module, None)]

    @override
    def _target_features(self, fit: RunningFit, inputs: tuple[Any, ...], features: RecordedFeatures) -> list[Tensor]:
        (label,) = inputs
        return [((label > 0) & (label != IGNORE_INDEX)).float()[:, None]] * len(fit.pairs)
