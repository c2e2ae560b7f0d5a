from lgad_lightning.callbacks.label_guided import LabelGuided


class LabelGuidedAttentionDistillation(LabelGuided):
    """LGAD (Liu & Zhu, 2021): the teacher reads the label map, and the student learns to look where the teacher looks.

    Args:
        teacher: A network that was trained to reproduce label maps, such as a `LaneTeacher`. It is called with them.
        student_layers: See `FeatureDistillation`. The other arguments are described there and at `AttentionTransfer`.
        ignore_index: The value of ignored pixels in the label; the teacher gets 255 for them. None if there is none.

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
