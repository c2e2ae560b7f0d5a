from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from typing_extensions import override

from lgad_lightning.callbacks.label_guided import LabelGuided
from lgad_lightning.callbacks.running_fit import RunningFit
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import IGNORE_INDEX
from lgad_lightning.pairing import pair_layers


class LabelAttention(LabelGuided):
    """The student's attention imitates the resized label map itself. This is the control: it needs no teacher.

    The target is 1 on every class except the background (0) and ignored pixels, and 0 elsewhere.

    Args:
        student_layers: The layers that learn. By default, the numbered stages of the student.
        weight: See `AttentionTransfer`.
        **kwargs: The other arguments of `AttentionTransfer`, and `ignore_index`: the value of ignored pixels in the
            label, 255 by default. With None, every pixel counts, so that masks of 0 and 255 can be used.

    Example:
        >>> LabelAttention(["network.encoder.stage*"], weight=0.1, end=0.5).name
        'label_attention'
    """

    default_name = "label_attention"

    def __init__(self, student_layers: Sequence[str] | None = None, weight: float = 0.3, **kwargs: Any) -> None:
        if given := kwargs.keys() & {"teacher", "teacher_layers"}:
            raise LgadError(f"LabelAttention has no teacher, its target is the label map: leave out {min(given)}=")
        super().__init__(None, student_layers, None, weight, **kwargs)

    @override
    def layer_pairs(self, module: nn.Module) -> list[tuple[str, str]]:
        """Pair each layer of the student with the label.

        Returns:
            The names of the student's layers, each with `label`.

        Raises:
            LgadError: See `FeatureDistillation.layer_pairs`.
        """
        return [(name, "label") for name, _ in pair_layers(module, self.student_layers, module, None)]

    @override
    def target_features(
        self, fit: RunningFit, inputs: tuple[Any, ...], student_features: Mapping[str, Tensor]
    ) -> list[Tensor]:
        """Make a map of the label, 1 on the lanes.

        Returns:
            The map, `(B, 1, H, W)`, for each pair.
        """
        (label,) = inputs
        lanes = label > 0
        if self.ignore_index is not None:
            lanes = lanes & (label != IGNORE_INDEX)
        return [lanes.float()[:, None]] * len(fit.pairs)
