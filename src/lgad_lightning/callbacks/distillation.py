"""The base of the distillation callbacks: how a loss on inner layers joins any LightningModule's training step."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.model_helpers import is_overridden
from lightning.pytorch.utilities.signature_utils import is_param_in_hook_signature
from torch import Size, Tensor, nn
from torch.optim import Optimizer
from typing_extensions import override

from lgad_lightning.callbacks.anchor import anchor
from lgad_lightning.callbacks.batch_items import Where, image_of, size_of
from lgad_lightning.callbacks.diagnostics import GradientRatios
from lgad_lightning.callbacks.frozen_teacher import FrozenTeacher
from lgad_lightning.callbacks.refusals import (
    checked_loss,
    refuse_no_network,
    refuse_shared_names,
    refuse_stopping_on_nothing,
    untrained_modules,
)
from lgad_lightning.callbacks.running_fit import RunningFit
from lgad_lightning.callbacks.shadowed_method import ShadowedMethod
from lgad_lightning.callbacks.trainable_parts import TrainableParts, optimizer_like
from lgad_lightning.errors import LgadError
from lgad_lightning.features import RecordedFeatures, depends_on, find_layers, pair_layers, record_features
from lgad_lightning.layouts import Layout, channels_first


class FeatureDistillation(L.Callback):
    """Adds a weighted loss between layers of the student and of a frozen teacher to every training step.

    A subclass overrides `compute_loss` and, where it must, `teacher_inputs` and `weight_at`. The callback keeps nothing
    in the checkpoint, and neither the module nor the teacher is another one after the fit.

    With manual optimisation the loss joins the first `manual_backward` that goes through the student's layers, once
    for each of their forward passes.

    Args:
        teacher: The trained teacher. The callback works on a copy of it; the object itself stays as it is.
        student_layers: Names of the student's layers, as the LightningModule's `named_modules` gives them; `*` stands
            for a part of a name. By default the numbered stages that student and teacher have in common are paired.
        teacher_layers: The teacher's layers, one for each of the student's; by default those of the same names.
        weight: Factor of the distillation loss.
        start: When the weight leaves 0: a value of `trainer.global_step` (int) or a fraction of the training (float).
        ramp: How long the weight takes to rise from 0 after `start`, and to fall to 0 before `end`; as `start`.
        end: When the weight is 0 again, as `start`; by default never.
        name: What the logged figures' names begin with, `default_name` unless given; two callbacks of one class need
            two names.
        bf16_teacher: Whether the teacher runs in bfloat16 whatever the trainer's precision.
        compile_teacher: Whether the teacher runs through `torch.compile`.
        image: Where the images are in a batch: a key, a position, or a function of it; see `image_of`.
        label: Where the label maps are, likewise; see `label_of`.
        layout: `nchw` or `nhwc`, where the channels of the student's layers are; by default seen by the input's size.
    """

    default_name = "distillation"
    looks = 3  # how many batches `check_inputs` is given

    def __init__(
        self,
        teacher: nn.Module | None,
        student_layers: Sequence[str] | None = None,
        teacher_layers: Sequence[str] | None = None,
        weight: float = 1.0,
        start: int | float = 0,
        ramp: int | float = 0,
        end: int | float | None = None,
        name: str | None = None,
        bf16_teacher: bool = False,
        compile_teacher: bool = False,
        image: Where | None = None,
        label: Where | None = None,
        layout: Layout | None = None,
    ) -> None:
        for argument, when in (("start", start), ("ramp", ramp), ("end", end)):
            if when is not None and (when < 0 or (isinstance(when, float) and when > 1)):
                raise LgadError(f"{argument}={when}: give a number of steps (int) or a fraction of the training (0..1)")
        if not isinstance(weight, int | float) or not 0 <= weight < float("inf"):
            raise LgadError(f"weight={weight}: give a finite number of at least 0")
        refuse_no_network(teacher, type(self).__name__)
        self.teacher = teacher
        self.student_layers = student_layers
        self.teacher_layers = teacher_layers
        self.weight = weight
        self.start = start
        self.ramp = ramp
        self.end = end
        self.name = name or self.default_name
        self.bf16_teacher = bf16_teacher
        self.compile_teacher = compile_teacher
        self.image = image
        self.label = label
        self.layout = layout
        self._fit: RunningFit | None = None
        self._trainable: TrainableParts | None = None
        self._saved: dict[str, Any] | None = None

    def teacher_inputs(self, batch: Any) -> tuple[Any, ...]:
        """Say what the teacher is called with: by default the images.

        Args:
            batch: What `training_step` is given, after its transfer to the device.

        Returns:
            The positional arguments of the teacher's `forward`.
        """
        return (image_of(batch, self.image),)

    def trainable_modules(self, student_shapes: list[Size], teacher_shapes: list[Size]) -> nn.Module | None:
        """Make what the loss itself has to learn, adapters between unequal numbers of channels for instance.

        It is called once in a fit, at the first batch. `compute_loss` finds the result as `self.trainable`. It is
        trained along with the student and is no part of it.

        Args:
            student_shapes: Shapes `(B, C, H, W)` of the student's features.
            teacher_shapes: Shapes `(B, C', H', W')` of the teacher's.

        Returns:
            The module, or None, as by default, where there is nothing to learn.
        """
        return None

    def trainable_optimizer(self, parameters: list[nn.Parameter], student_optimizer: Optimizer) -> Optimizer:
        """Make the optimiser of `trainable_modules`: one like the student's, which follows its learning rate.

        Args:
            parameters: Those of the trainable modules.
            student_optimizer: The optimiser of the distilled layers; the two step together.

        Returns:
            An optimiser; one of another class than the student's keeps its own settings.
        """
        return optimizer_like(parameters, student_optimizer)

    @property
    def trainable(self) -> nn.Module:
        """What `trainable_modules` made for this fit, or for the last one."""
        if self._trainable is None:
            raise RuntimeError(f"{type(self).__name__} has no trainable modules before the first batch of a fit")
        return self._trainable.module

    def check_inputs(self, inputs: tuple[Any, ...]) -> None:
        """Look at what the teacher is called with in the first batches, where the time that takes does not matter.

        Args:
            inputs: What `teacher_inputs` returned.

        Raises:
            LgadError: If it cannot be right; by default nothing is looked at.
        """

    def compute_loss(self, student_features: list[Tensor], teacher_features: list[Tensor]) -> Tensor:
        """Compare the features of one batch.

        Args:
            student_features: Outputs `(B, C, H, W)` of `student_layers`, in that order, with gradient.
            teacher_features: Outputs `(B, C', H', W')` of `teacher_layers`, without.

        Returns:
            The loss before weighting, a scalar.
        """
        raise NotImplementedError(f"{type(self).__name__} must override compute_loss")

    def weight_at(self, step: int) -> float:
        """Give the loss's factor: `weight` from `start` to `end`, with linear ramps at both.

        Args:
            step: `trainer.global_step`, the number of optimiser steps taken.

        Returns:
            The factor; at 0 the teacher does not run.
        """
        start, ramp = self._steps(self.start), self._steps(self.ramp)
        end = float("inf") if self.end is None else self._steps(self.end)
        if not start <= step < end:
            return 0.0
        # The first step of a rise and the last of a fall count, so that a ramp of 1 is none.
        return self.weight * min(1.0, (step - start + 1) / max(ramp, 1), (end - step) / max(ramp, 1))

    def check_layers(self, module: L.LightningModule) -> None:
        """Look the layers up as a fit would, before anything long that comes ahead of it.

        Args:
            module: The student; it stays as it is.

        Raises:
            LgadError: If a name is unknown (the message lists the nearest ones), or the two sides do not match up.
        """
        self._resolve(RunningFit(module))

    @override
    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        if is_param_in_hook_signature(pl_module.training_step, "dataloader_iter", explicit=True):
            raise LgadError(
                f"{type(self).__name__} needs training_step(batch, ...), not one that takes dataloader_iter"
            )
        refuse_shared_names(self, trainer)
        self._detach()
        self._trainable = self._saved = None
        # Here and not in on_fit_start, where a learning-rate finder already trains.
        self._fit = RunningFit(pl_module)
        self._fit.shadows += [
            ShadowedMethod(pl_module, "training_step", self._around_training_step),
            ShadowedMethod(pl_module, "manual_backward", self._around_manual_backward),
        ]

    @override
    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._ready()
        self.weight_at(0)  # fails for a fraction of an endless training
        refuse_stopping_on_nothing(self, trainer)
        for name in untrained_modules(self):
            self._running.warn_once(
                f"untrained {name}",
                f"nothing trains {type(self).__name__}.{name}: return it from trainable_modules, or freeze it"
                " (requires_grad_(False)) if it is not to learn",
            )

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._trainable is not None:
            self._trainable.restart()  # a learning-rate finder has trained

    @override
    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer) -> None:
        if self._trainable is not None and self._trainable.follows(optimizer):
            self._trainable.stepping = True

    @property
    @override
    def state_key(self) -> str:
        return f"{type(self).__qualname__}[{self.name}]"

    # Not `state_dict`, of which Lightning refuses two with one key before this class can say why.
    @override
    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        state = self._saved if self._trainable is None else self._trainable.state_dict()
        if state is not None:
            checkpoint["callbacks"][self.state_key] = state

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._saved = state_dict

    @override
    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        # The steps that the trainer counts for its loggers: of optimisers, or of batches with manual optimisation.
        steps = trainer.global_step if pl_module.automatic_optimization else trainer.fit_loop.total_batch_idx
        completes_step = trainer.is_last_batch or (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        self._running.looking = every > 0 and completes_step and (steps + 1) % every == 0

    @override
    def on_after_backward(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        fit = self._running
        if fit.figures:
            ratios = {} if fit.gradient_ratios is None else fit.gradient_ratios.ratios
            ratios = {f"gradient_ratio/{label}": ratio for label, ratio in ratios.items()}
            figures = fit.gaps | fit.figures | ratios
            pl_module.log_dict({f"{self.name}/{figure}": value for figure, value in figures.items()})
            fit.figures, fit.gaps, fit.gradient_ratios = {}, dict.fromkeys(figures, float("nan")), None

    @override
    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self._detach()

    @override
    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self._detach()

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_fit": None, "_trainable": None}  # a copy made meanwhile is not at work

    def _detach(self) -> None:
        if self._fit is not None:
            self._fit.close()
            self._fit = None
        if self._trainable is not None:
            self._trainable.close()
            self._trainable.module.cpu()

    @property
    def _running(self) -> RunningFit:
        if self._fit is None:
            raise RuntimeError(f"{type(self).__name__} is only at work during Trainer.fit")
        return self._fit

    def _ready(self) -> RunningFit:
        """The running fit with its layers, which the module may have made as late as in `configure_model`."""
        fit = self._running
        if not fit.pairs:
            self._resolve(fit)
            fit.forget_traces()
        return fit

    def _resolve(self, fit: RunningFit) -> None:
        fit.pairs = self._pair_layers(fit.module)
        fit.layers = find_layers(fit.module, self._recorded_names(fit.pairs), "the student")

    def _pair_layers(self, module: nn.Module) -> list[tuple[str, str]]:
        if self.teacher is None:
            raise LgadError(f"{type(self).__name__} needs a teacher: give it a trained network")
        return pair_layers(module, self.student_layers, self.teacher, self.teacher_layers)

    def _recorded_names(self, pairs: list[tuple[str, str]]) -> list[str]:
        return [name for name, _ in pairs]

    def _steps(self, when: int | float) -> float:
        if isinstance(when, int):
            return when
        total = self._running.module.trainer.estimated_stepping_batches
        if total == float("inf"):
            raise LgadError("start, ramp or end is a fraction of a training that never ends: set max_epochs or steps")
        return when * total

    def _around_training_step(self, step: Callable[..., Any], batch: Any, *args: Any, **kwargs: Any) -> Any:
        if not (self._running.module.trainer.training and torch.is_grad_enabled()):
            return step(batch, *args, **kwargs)  # called by a validation step, say
        fit = self._ready()
        inputs = self.teacher_inputs(batch)  # before the step, which may take the batch apart
        fit.size = size_of(batch, self.image)
        if fit.looked < self.looks:
            fit.looked += 1
            self.check_inputs(inputs)
        with record_features(fit.layers, owner="the student") as features:
            fit.pending = inputs, features
            try:
                output = step(batch, *args, **kwargs)
            finally:
                fit.pending = None
        if not fit.module.automatic_optimization:
            fit.expect_distilled(features)
            return output
        if output is None:
            return output
        if isinstance(output, Mapping):
            return {**output, "loss": self._distilled(output["loss"], inputs, features)}
        return self._distilled(output, inputs, features)

    def _around_manual_backward(self, backward: Callable[..., Any], loss: Tensor, *args: Any, **kwargs: Any) -> None:
        pending = self._running.pending
        if pending is None or not depends_on(loss, pending[1].outputs.values()):
            backward(loss, *args, **kwargs)
            return
        backward(self._distilled(loss, *pending), *args, **kwargs)
        pending[1].outputs.clear()  # distilled; a checkpointed layer has recorded again during the backward

    def _distilled(self, task: Tensor, inputs: tuple[Any, ...], features: RecordedFeatures) -> Tensor:
        loss = self._weighted_loss(inputs, features)
        if loss is not None:
            return task + loss
        fit = self._running
        # DDP wants gradients also of layers that only the distillation uses.
        return task if fit.module.trainer.world_size == 1 else anchor(task, features.maps(list(fit.layers)))

    def _weighted_loss(self, inputs: tuple[Any, ...], features: RecordedFeatures) -> Tensor | None:
        fit = self._running
        names = [name for name, _ in fit.pairs]
        student = [
            channels_first(output, fit.size, fit.layers[name], f"layer {name!r} of the student", self.layout)
            for name, output in zip(names, features.maps(names), strict=True)
        ]
        fit.check_gradients(names, student)
        weight = self.weight_at(fit.module.trainer.global_step)
        if not fit.rehearsed:
            self._make_trainable(fit, student, inputs, features)
        if fit.looking:
            fit.figures["weight"] = weight
        if weight == 0:
            fit.module.log(f"{self.name}/loss", float("nan"))
            return None
        teacher = self._target_features(fit, inputs, features)
        compared = [output.view_as(output) for output in student]  # by which the loss's own gradient is measured
        if self._trainable is not None:
            self._trainable.use()
        with self._precision(fit):
            loss = checked_loss(self, fit.labels, compared, teacher)
        fit.module.log(f"{self.name}/loss", loss.detach())
        if fit.looking:
            fit.figures |= self._figures(student, teacher)
            fit.gradient_ratios = GradientRatios(fit.labels, student, compared)
        return weight * loss

    def _make_trainable(
        self, fit: RunningFit, student: list[Tensor], inputs: tuple[Any, ...], features: RecordedFeatures
    ) -> None:
        fit.rehearsed = True
        if not is_overridden("trainable_modules", self, FeatureDistillation):
            return
        teacher = self._target_features(fit, inputs, features)
        with torch.random.fork_rng(devices=[]):  # the student draws the same numbers as without
            module = self.trainable_modules([s.shape for s in student], [t.shape for t in teacher])
        if module is not None:
            layers = fit.layers.values()
            self._trainable = TrainableParts(module, fit.module, layers, self.trainable_optimizer, self._saved)

    def _precision(self, fit: RunningFit) -> AbstractContextManager[Any]:
        """What is trained stays float32, also where the student is in true half precision."""
        half = fit.module.dtype if fit.module.dtype in (torch.float16, torch.bfloat16) else None
        autocast = self._trainable is not None and half is not None
        return torch.autocast(fit.module.device.type, half) if autocast else nullcontext()

    def _target_features(self, fit: RunningFit, inputs: tuple[Any, ...], features: RecordedFeatures) -> list[Tensor]:
        """What the student's features are compared with, without gradient."""
        if fit.teacher is None:
            assert self.teacher is not None
            copy = deepcopy(self.teacher).to(fit.module.device)
            # Under a trainer's true half precision the copy stays float32 and runs under autocast: a teacher that makes
            # float32 planes of the labels could not run converted.
            half = fit.module.dtype if fit.module.dtype in (torch.float16, torch.bfloat16) else None
            autocast = torch.bfloat16 if self.bf16_teacher else half
            fit.teacher = FrozenTeacher(copy, [name for _, name in fit.pairs], autocast, self.compile_teacher)
        return fit.teacher(*inputs)

    def _figures(self, student: list[Tensor], teacher: list[Tensor]) -> dict[str, Tensor]:
        """What more there is to log of the distillation in the steps that the trainer logs."""
        return {}
