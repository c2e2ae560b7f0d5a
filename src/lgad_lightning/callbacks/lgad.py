from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from typing_extensions import override

from lgad_lightning.attention import attention_map
from lgad_lightning.callbacks.label_guided import LabelGuided
from lgad_lightning.callbacks.running_fit import RunningFit
from lgad_lightning.errors import LgadError
from lgad_lightning.lane_attention import balance_lanes


class LabelGuidedAttentionDistillation(LabelGuided):
    """LGAD (Liu & Zhu, 2021): the teacher reads the label map, and the student learns to look where the teacher looks.

    Args:
        teacher: A network that was trained to reproduce label maps, such as a `LaneTeacher`. It is called with them.
        student_layers: See `FeatureDistillation`. The other arguments are described there and at `AttentionTransfer`.
        teacher_layers: See `FeatureDistillation`.
        weight: See `AttentionTransfer`.
        balanced: Whether to give all lanes of an image the same mean attention in the target (`balance_lanes`).
            Otherwise, lanes that the teacher draws brightly outshine the others. This is not in the paper.
        **kwargs: `ignore_index`: the value of ignored pixels in the label; the teacher gets 255 for them. None if there
            is none. And the other arguments of `AttentionTransfer`.

    Example:
        >>> import lightning as L
        >>> from lgad_lightning import ERFNet, LaneStudent, LaneTeacher
        >>> teacher = LaneTeacher(ERFNet(in_channels=5, input_size=(64, 160), channels=(8, 16, 32)))
        >>> student = LaneStudent(ERFNet(input_size=(64, 160), channels=(8, 16, 32)))
        >>> lgad = LabelGuidedAttentionDistillation(teacher, ["network.encoder.stage*"], weight=0.3)
        >>> [name for name, of_teacher in lgad.layer_pairs(student)]
        ['network.encoder.stage1', 'network.encoder.stage2', 'network.encoder.stage3']
        >>> trainer = L.Trainer(callbacks=[lgad], logger=False)  # `fit` distils
    """

    default_name = "lgad"

    def __init__(
        self,
        teacher: nn.Module | None,
        student_layers: Sequence[str] | None = None,
        teacher_layers: Sequence[str] | None = None,
        weight: float = 0.3,
        balanced: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(teacher, student_layers, teacher_layers, weight, **kwargs)
        self.balanced = balanced

    @override
    def target_features(
        self, fit: RunningFit, inputs: tuple[Any, ...], student_features: Mapping[str, Tensor]
    ) -> list[Tensor]:
        """Run the teacher on the label map, and balance the lanes if `balanced`.

        Returns:
            One tensor for each pair, without gradient: the teacher's features `(B, C', H', W')`, or with `balanced` a
            single channel `(B, 1, H', W')` that has the balanced attention.
        """
        return self._balanced(super().target_features(fit, inputs, student_features), inputs)

    def _balanced(self, features: list[Tensor], inputs: tuple[Any, ...]) -> list[Tensor]:
        if not self.balanced:
            return features
        label = inputs[0]
        if not isinstance(label, Tensor) or label.ndim != 3:
            raise LgadError(f"{type(self).__name__}: balanced=True needs a label map (B, H, W) as the teacher's input")
        maps = [balance_lanes(attention_map(one, self.power, self.reduction), label) for one in features]
        return [one[:, None].pow(1 / self.power) for one in maps]
