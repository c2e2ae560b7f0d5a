from lgad_lightning.callbacks.label_guided import LabelGuided


class LabelGuidedAttentionDistillation(LabelGuided):
    """LGAD (Liu & Zhu, 2021): the teacher looks at the label map, and the student learns to look where it looks.

    Args:
        teacher: A network trained to reproduce label maps, a `LaneTeacher` for instance; it is called with them.
        student_layers: See `FeatureDistillation`, as for all that follow but those of `AttentionTransfer`.
        ignore_index: The label's value where nothing is known; the teacher is shown 255 there. None if there is none.
    """

    default_name = "lgad"
