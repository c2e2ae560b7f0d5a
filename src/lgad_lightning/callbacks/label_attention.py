from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from typing_extensions import override

from lgad_lightning.callbacks.label_guided import LabelGuided
from lgad_lightning.callbacks.running_fit import RunningFit
from lgad_lightning.lanes import IGNORE_INDEX
from lgad_lightning.pairing import pair_layers


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
    def layer_pairs(self, module: nn.Module) -> list[tuple[str, str]]:
        """Pair each of the student's layers with the label.

        Args:
            module: The student.

        Returns:
            Names of the student's layers, each with `label`.

        Raises:
            LgadError: See `FeatureDistillation.layer_pairs`.
        """
        return [(name, "label") for name, _ in pair_layers(module, self.student_layers, module, None)]

    @override
    def target_features(
        self, fit: RunningFit, inputs: tuple[Any, ...], student_features: Mapping[str, Tensor]
    ) -> list[Tensor]:
        """Make a map of the label, 1 on the lanes.

        Args:
            fit: Holds the pairs.
            inputs: What `teacher_inputs` returned.
            student_features: Not looked at.

        Returns:
            The map, `(B, 1, H, W)`, for each pair.
        """
        (label,) = inputs
        lanes = label > 0
        if self.ignore_index is not None:
            lanes = lanes & (label != IGNORE_INDEX)
        return [lanes.float()[:, None]] * len(fit.pairs)
