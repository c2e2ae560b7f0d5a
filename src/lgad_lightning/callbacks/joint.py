from collections.abc import Sequence
from functools import partial
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn
from torch.optim import Optimizer
from typing_extensions import override

from lgad_lightning.callbacks.lgad import LabelGuidedAttentionDistillation
from lgad_lightning.callbacks.running_fit import RunningFit
from lgad_lightning.features import RecordedFeatures, find_layers, record_features
from lgad_lightning.lanes import IGNORE_INDEX

_ADAM = partial(torch.optim.Adam, lr=1e-3)


class JointLabelGuidedAttentionDistillation(LabelGuidedAttentionDistillation):
    """LGAD in one stage: the teacher learns to reproduce the label maps alongside the student.

    The teacher is trained in place, in float32, by an optimiser of its own; both are in the checkpoint as this
    callback's state and go on from there after a resume. Its features reach the student detached.

    Args:
        teacher: An untrained network that is called with the label map and puts out logits `(B, K, H, W)`.
        student_layers: See `FeatureDistillation`.
        teacher_layers: See `FeatureDistillation`.
        weight: See `AttentionTransfer`.
        teacher_optimizer: Builds the teacher's optimiser from its parameters.
        **kwargs: The other arguments of `AttentionTransfer`.
    """

    default_name = "joint_lgad"

    def __init__(
        self,
        teacher: nn.Module,
        student_layers: Sequence[str] | None = None,
        teacher_layers: Sequence[str] | None = None,
        weight: float = 0.3,
        teacher_optimizer: OptimizerCallable = _ADAM,
        **kwargs: Any,
    ) -> None:
        super().__init__(teacher, student_layers, teacher_layers, weight, **kwargs)
        self.teacher: nn.Module = teacher
        self.teacher_optimizer = teacher_optimizer
        self._optimizer: Optimizer | None = None
        self._targets: list[Tensor] = []

    def teacher_loss(self, output: Any, label: Tensor) -> Tensor:
        """Say how well the teacher reproduces the label: cross-entropy unless overridden.

        Args:
            output: What the teacher puts out: logits `(B, K, H, W)`, or an object that has them as `logits`.
            label: What it was called with, `(B, H, W)`; 255 is ignored.

        Returns:
            A scalar.
        """
        return F.cross_entropy(getattr(output, "logits", output), label.long(), ignore_index=IGNORE_INDEX)

    @override
    def state_dict(self) -> dict[str, Any]:
        optimizer = {} if self._optimizer is None else self._optimizer.state_dict()
        return {"teacher": self.teacher.state_dict(), "optimizer": optimizer}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.teacher.load_state_dict(state_dict["teacher"])
        if self._optimizer is not None:
            self._optimizer.load_state_dict(state_dict["optimizer"])

    @override
    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if stage == "fit":
            self.teacher.to(trainer.strategy.root_device).train()
            self.teacher.load_state_dict(trainer.strategy.broadcast(self.teacher.state_dict()))
            self._optimizer = self.teacher_optimizer(self.teacher.parameters())

    @override
    def _detach(self) -> None:
        super()._detach()
        self.teacher.cpu()

    @override
    def _weighted_loss(self, inputs: tuple[Any, ...], features: RecordedFeatures) -> Tensor | None:
        self._targets = self._train_teacher(*inputs)  # also while the weight is 0
        try:
            return super()._weighted_loss(inputs, features)
        finally:
            self._targets = []

    @override
    def _target_features(self, fit: RunningFit, inputs: tuple[Any, ...], features: RecordedFeatures) -> list[Tensor]:
        return self._targets or super()._target_features(fit, inputs, features)  # the latter for a picture

    def _train_teacher(self, label: Tensor) -> list[Tensor]:
        fit, names = self._running, [name for _, name in self._running.pairs]
        assert self._optimizer is not None
        with (
            torch.autocast(label.device.type, enabled=False),
            record_features(find_layers(self.teacher, names), owner="the teacher") as features,
        ):
            loss = self.teacher_loss(self.teacher(label), label)
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
        for parameter in self.teacher.parameters():
            if parameter.grad is not None:
                parameter.grad = fit.module.trainer.strategy.reduce(parameter.grad, reduce_op="mean")
        self._optimizer.step()
        fit.module.log(f"{self.name}/teacher_loss", loss.detach())
        return [output.detach() for output in features.maps(names)]
