from typing import Any

from typing_extensions import override

from lgad_lightning.callbacks.attention_transfer import AttentionTransfer
from lgad_lightning.callbacks.batch_items import label_of


class LabelGuidedAttentionDistillation(AttentionTransfer):
    """LGAD (Liu & Zhu, 2021): the teacher looks at the label map, and the student learns to look where it looks.

    Args:
        teacher: A network trained to reproduce label maps, a `LaneTeacher` for instance; it is called with them.
        student_layers: See `FeatureDistillation`, as for all that follow but those of `AttentionTransfer`.
    """

    default_name = "lgad"

    @override
    def teacher_inputs(self, batch: Any) -> tuple[Any, ...]:
        """Find the label map: where `label` says, else `label` or `mask` in a mapping, the second of a tuple.

        Args:
            batch: What `training_step` is given, after its transfer to the device.

        Returns:
            The label map alone.
        """
        return (label_of(batch, self.label),)
