from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Size, Tensor, nn
from torch.optim import Optimizer
from typing_extensions import override

from lgad_lightning.callbacks.lgad import LabelGuidedAttentionDistillation
from lgad_lightning.callbacks.running_fit import RunningFit
from lgad_lightning.callbacks.trainable_parts import load_trained
from lgad_lightning.errors import LgadError
from lgad_lightning.feature_layout import channels_first, size_of_inputs
from lgad_lightning.features import evaluating, find_layers, record_features
from lgad_lightning.losses import segmentation_loss

_ADAM = partial(torch.optim.Adam, lr=1e-3)


class JointLabelGuidedAttentionDistillation(LabelGuidedAttentionDistillation):
    """LGAD in one stage: the teacher learns to reproduce the label maps while the student is trained.

    The teacher is trained in place, in float32, with its own optimiser. This optimiser steps when the student's does,
    also while the weight is 0. Teacher and optimiser are in the checkpoint as the state of this callback, so a resumed
    run continues with them. The distillation sends no gradient to the teacher.

    Args:
        teacher: An untrained network. It is called with the label map and returns logits `(B, K, H, W)`.
        student_layers: See `FeatureDistillation`.
        teacher_layers: See `FeatureDistillation`.
        weight: See `AttentionTransfer`.
        teacher_optimizer: Builds the teacher's optimiser from its parameters. By default Adam with the rate 0.001.
        **kwargs: The other arguments of `AttentionTransfer`.

    Example:
        >>> from lgad_lightning import ERFNet, LaneStudent
        >>> student = LaneStudent(ERFNet(input_size=(64, 160), channels=(8, 16, 32)))
        >>> teacher = ERFNet(in_channels=5, input_size=(64, 160), channels=(8, 16, 32))  # not trained yet
        >>> callback = JointLabelGuidedAttentionDistillation(teacher, ["network.encoder.stage3"], ["encoder.stage3"])
        >>> callback.layer_pairs(student)
        [('network.encoder.stage3', 'encoder.stage3')]
    """

    default_name = "joint_lgad"

    def __init__(
        self,
        teacher: nn.Module,
        student_layers: Sequence[str] | None = None,
        teacher_layers: Sequence[str] | None = None,
        weight: float = 0.3,
        teacher_optimizer: OptimizerCallable | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(teacher, student_layers, teacher_layers, weight, **kwargs)
        self.teacher: nn.Module = teacher
        self.teacher_optimizer = teacher_optimizer or _ADAM

    def teacher_loss(self, output: Any, label: Tensor) -> Tensor:
        """Compute the loss of the teacher: the cross-entropy of its output with the label.

        Args:
            output: The output of the teacher: logits `(B, K, H, W)`, or an object with the attribute `logits`.
            label: The label map, `(B, H, W)`. 255 is ignored.

        Returns:
            A scalar. It is 0 if all pixels are ignored.
        """
        return segmentation_loss(getattr(output, "logits", output), label.long(), background_weight=1.0)

    @override
    def trainable_modules(self, student_shapes: list[Size], teacher_shapes: list[Size]) -> nn.Module:
        """Return the teacher, so that it is trained.

        Returns:
            The teacher itself.

        Raises:
            LgadError: If the teacher is frozen.
        """
        if not any(parameter.requires_grad for parameter in self.teacher.parameters()):
            raise LgadError(f"{type(self).__name__} trains its teacher, but all its parameters are frozen")
        return self.teacher

    @override
    def trainable_optimizer(self, parameters: list[nn.Parameter], student_optimizer: Optimizer) -> Optimizer:
        """Make the teacher's optimiser with `teacher_optimizer`."""
        return self.teacher_optimizer(parameters)

    @override
    def trainable_loss(self, fit: RunningFit, inputs: tuple[Any, ...]) -> Tensor:
        """Run the teacher on the label, in float32, and keep its features as the targets of this step.

        Returns:
            `teacher_loss`, a scalar.
        """
        (label,) = inputs
        output, fit.targets = self._look(fit, label)
        with torch.autocast(label.device.type, enabled=False):
            loss = self.teacher_loss(output, label)
        fit.log(f"{self.name}/teacher_loss", loss.detach())
        return loss

    @override
    def target_features(
        self, fit: RunningFit, inputs: tuple[Any, ...], student_features: Mapping[str, Tensor]
    ) -> list[Tensor]:
        """Return the teacher's features of this step, without gradient."""
        if fit.targets:
            return fit.targets
        # Before the first step, or for a picture.
        with evaluating(self.teacher.to(fit.module.device)), torch.no_grad():
            return self._look(fit, *inputs)[1]

    @override
    def trainable_state(self) -> dict[str, Any]:
        return super().trainable_state() or {"modules": self.teacher.state_dict(), "optimizer": None}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        load_trained(self.teacher, state_dict["modules"])

    def _look(self, fit: RunningFit, label: Tensor) -> tuple[Any, list[Tensor]]:
        names = [name for _, name in fit.pairs]
        layers = find_layers(self.teacher, names, "the teacher")
        with torch.autocast(label.device.type, enabled=False), record_features(layers, owner="the teacher") as recorded:
            output = self.teacher(label)
        size = size_of_inputs((label,))
        features = zip(names, recorded.maps(names), strict=True)
        targets = [
            channels_first(one.detach(), size, layers[name], f"layer {name!r} of the teacher", self.teacher_layout)
            for name, one in features
        ]
        return output, self._balanced(targets, (label,))
