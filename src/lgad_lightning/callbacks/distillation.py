"""The base of the distillation callbacks: adds a loss on inner layers to a LightningModule's training step."""

from collections.abc import Mapping, Sequence
from typing import Any

import lightning as L
import torch
from lightning.pytorch.strategies import ParallelStrategy
from torch import Tensor, nn
from typing_extensions import override

from lgad_lightning.batch_items import Where, image_of, size_of
from lgad_lightning.callbacks.anchor import anchor
from lgad_lightning.callbacks.first_batch import refuse_doubtful_pairs, tell_pairs
from lgad_lightning.callbacks.frozen_teacher import working_copy
from lgad_lightning.callbacks.joined_step import JoinedStep
from lgad_lightning.callbacks.learned_loss import LearnedLoss
from lgad_lightning.callbacks.refusals import (
    check_ahead,
    checked_loss,
    refuse_loader_step,
    refuse_no_network,
    refuse_shared_names,
)
from lgad_lightning.callbacks.running_fit import RunningFit
from lgad_lightning.callbacks.weight_schedule import When, check_schedule, describe_schedule, in_steps, scheduled_weight
from lgad_lightning.errors import LgadError
from lgad_lightning.feature_layout import Layout, size_of_inputs
from lgad_lightning.features import RecordedFeatures
from lgad_lightning.internals import logs_this_batch
from lgad_lightning.pairing import pair_layers


class FeatureDistillation(LearnedLoss):
    """Adds a weighted loss between layers of the student and of a frozen teacher to every training step.

    A subclass overrides `compute_loss` and, if needed, `teacher_inputs`, `weight_at` and `trainable_modules`. With
    another kind of teacher, it also overrides `layer_pairs` and `target_features`. The callback saves nothing in the
    checkpoint except trainable modules. After the fit, nothing of it is left in the module or the teacher.

    With manual optimisation, the loss is added in the first `manual_backward` that goes through the student's layers,
    once for each forward pass.

    Args:
        teacher: The trained teacher. The callback uses a copy of it, so the object itself does not change.
        student_layers: Names of the student's layers, as in `named_modules` of the LightningModule; `*` stands for any
            part of a name. By default, the numbered stages that student and teacher have in common are paired.
        teacher_layers: The teacher's layers, one for each layer of the student. By default, the same names are used.
        weight: Factor of the distillation loss.
        start: When the loss begins: a value of `trainer.global_step` (int) or a fraction of the training (float).
        ramp: How long the weight takes to rise from 0 after `start`, and to fall to 0 before `end`; given as `start`.
        end: When the weight is 0 again; given as `start`. By default never.
        name: The first part of the names in the log. By default `default_name`. Two callbacks of one class need
            different names.
        bf16_teacher: Whether the teacher runs in bfloat16, whatever the precision of the trainer is.
        compile_teacher: Whether the teacher runs through `torch.compile`.
        image: Where the images are in a batch: a key, a position, or a function of the batch; see `image_of`.
        label: Where the label maps are in a batch; see `label_of`.
        layout: The layout of the student's features: `nchw`, `nhwc`, or, for tokens `(B, N, C)`, the height and width
            of their grid. By default, it is found by the size of the input.
        teacher_layout: The layout of the teacher's features.

    Example:
        >>> class MeanSquares(FeatureDistillation):
        ...     default_name = "mean_squares"
        ...     def compute_loss(self, student_features, teacher_features):
        ...         pairs = zip(student_features, teacher_features, strict=True)
        ...         return sum((student - teacher).square().mean() for student, teacher in pairs)
        >>> MeanSquares(nn.Conv2d(3, 8, 1), ["net.layer1"], [""], weight=10.0, start=0.5).name
        'mean_squares'
    """

    default_name = "distillation"
    looks = 3  # the number of batches that `check_inputs` sees
    teaches_itself = False  # whether the second layer of each pair is a layer of the student, too

    def __init__(
        self,
        teacher: nn.Module | None,
        student_layers: Sequence[str] | None = None,
        teacher_layers: Sequence[str] | None = None,
        weight: float = 1.0,
        start: When = 0,
        ramp: When = 0,
        end: When | None = None,
        name: str | None = None,
        bf16_teacher: bool = False,
        compile_teacher: bool = False,
        image: Where | None = None,
        label: Where | None = None,
        layout: Layout | None = None,
        teacher_layout: Layout | None = None,
    ) -> None:
        super().__init__()
        check_schedule(weight, start, ramp, end)
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
        self.teacher_layout = teacher_layout
        self._fit: RunningFit | None = None

    def compute_loss(self, student_features: list[Tensor], teacher_features: list[Tensor]) -> Tensor:
        """Compare the features of one batch.

        Args:
            student_features: Outputs `(B, C, H, W)` of `student_layers`, in that order, with gradient.
            teacher_features: Outputs `(B, C', H', W')` of `teacher_layers`, without gradient.

        Returns:
            The loss before weighting, a scalar.
        """
        raise NotImplementedError(f"{type(self).__name__} must override compute_loss")

    def added_up(self, losses: Sequence[Tensor]) -> Tensor:
        """Add up the losses of the pairs, and log each of them in the steps that the trainer logs.

        Args:
            losses: A scalar for each pair.

        Returns:
            Their sum.
        """
        fit = self._fit
        if fit is not None and fit.logs_figures and len(losses) == len(fit.labels):
            fit.figures |= {f"loss/{label}": loss.detach() for label, loss in zip(fit.labels, losses, strict=True)}
        return torch.stack(list(losses)).sum()

    def teacher_inputs(self, batch: Any) -> tuple[Any, ...]:
        """Return the inputs of the teacher: by default, the images, as the step receives them.

        Args:
            batch: The batch that `training_step` gets, on the device.

        Returns:
            The positional arguments of the teacher's `forward`.
        """
        return (image_of(batch, self.image).clone(),)  # the step may change the batch

    def weight_at(self, step: int) -> float:
        """Return the factor of the loss: `weight` from `start` to `end`, with linear ramps at both ends.

        Args:
            step: `trainer.global_step`, the number of optimiser steps so far.

        Returns:
            The factor. While it is 0, the teacher runs only for the first batch.
        """
        times = in_steps(self.start, self.ramp, self.end, lambda: self.running.module.trainer)
        return scheduled_weight(step, self.weight, *times)

    def check_inputs(self, inputs: tuple[Any, ...]) -> None:
        """Check the inputs of the teacher in the first batches. The default checks nothing.

        Args:
            inputs: What `teacher_inputs` returned.

        Raises:
            LgadError: If the inputs cannot be right.
        """

    def layer_pairs(self, module: nn.Module) -> list[tuple[str, str]]:
        """Decide which layer of the student learns from which layer of the teacher.

        Args:
            module: The student.

        Returns:
            For each pair, the name of the student's layer and the name of the teacher's layer.

        Raises:
            LgadError: If a name is unknown (the message lists similar names), or if the two lists do not match.
        """
        if self.teacher is None:
            raise LgadError(f"{type(self).__name__} needs a teacher: give it a trained network")
        return pair_layers(module, self.student_layers, self.teacher, self.teacher_layers)

    def target_features(
        self, fit: RunningFit, inputs: tuple[Any, ...], student_features: Mapping[str, Tensor]
    ) -> list[Tensor]:
        """Compute the features that the student's features are compared with. The default runs the copy of the teacher.

        Args:
            fit: Holds the pairs and the copy of the teacher.
            inputs: What `teacher_inputs` returned.
            student_features: All recorded features of the student, `(B, C, H, W)`, by the name of the layer.

        Returns:
            One tensor `(B, C', H', W')` for each pair, without gradient.
        """
        if fit.teacher is None:
            assert self.teacher is not None
            names, speed = [name for _, name in fit.pairs], (self.bf16_teacher, self.compile_teacher)
            fit.teacher = working_copy(self.teacher, names, fit.module, *speed, self.teacher_layout)
        return fit.teacher(*inputs)

    def figures(self, student_features: list[Tensor], teacher_features: list[Tensor]) -> dict[str, Tensor]:
        """Compute more figures for the log. This is called in the steps that the loggers write.

        Args:
            student_features: See `compute_loss`.
            teacher_features: See `compute_loss`.

        Returns:
            Figures by name. By default none.
        """
        return {}

    def facts(
        self, inputs: tuple[Any, ...], student_features: list[Tensor], teacher_features: list[Tensor]
    ) -> list[str]:
        """Return more facts for the line at the start of a fit, which names the pairs and the weight.

        Args:
            inputs: What `teacher_inputs` returned for the first batch.
            student_features: See `compute_loss`.
            teacher_features: See `compute_loss`.

        Returns:
            Parts of a sentence. By default none.
        """
        return []

    def check_layers(self, module: L.LightningModule) -> None:
        """Check the names of the layers as a fit does. Use this before a long step that comes before the fit.

        Args:
            module: The student. It is not changed.

        Raises:
            LgadError: See `layer_pairs`.
        """
        RunningFit(module).look_up(self.layer_pairs(module), self.teaches_itself)

    @property
    def running(self) -> RunningFit:
        """The state of the current fit."""
        if self._fit is None:
            raise RuntimeError(f"{type(self).__name__} works only during Trainer.fit")
        return self._fit

    @override
    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        refuse_loader_step(type(self).__name__, pl_module)
        refuse_shared_names(self, trainer)
        self._detach()
        self._trainable = self._saved = None
        # Not in on_fit_start: a learning-rate finder trains before it.
        self._fit = RunningFit(pl_module, JoinedStep(pl_module, self._prepare, self._distilled))

    @override
    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._ready()

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        check_ahead(self, trainer)  # not before: it looks at the loader, whose state is restored in between

    @override
    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.running.logs_figures = logs_this_batch(trainer, pl_module.automatic_optimization, batch_idx)

    @override
    def on_after_backward(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.running.log_figures(self.name)

    @override
    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self._detach()

    @override
    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self._detach()

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_fit": None, "_trainable": None}  # a copy that is made during a fit is not active

    def _detach(self) -> None:
        if self._fit is not None:
            self._fit.close()
            self._fit = None
        self._rest()

    def _ready(self) -> RunningFit:
        """The current fit with its layers. Some modules create them only in `configure_model`."""
        fit = self.running
        if not fit.pairs:
            fit.look_up(self.layer_pairs(fit.module), self.teaches_itself)
            fit.forget_traces()
        return fit

    def _prepare(self, batch: Any) -> tuple[dict[str, nn.Module], tuple[Any, ...]]:
        fit = self._ready()
        inputs = self.teacher_inputs(batch)
        if not isinstance(inputs, tuple):
            raise LgadError(
                f"teacher_inputs of {type(self).__name__} returned a {type(inputs).__name__}: return a tuple, with an"
                " item for each argument of the teacher's forward"
            )
        fit.size = size_of(batch, self.image) or size_of_inputs(inputs)
        if fit.looked < self.looks:
            fit.looked += 1
            self.check_inputs(inputs)
        return fit.layers, inputs

    def _distilled(self, task: Tensor, inputs: tuple[Any, ...], recorded: RecordedFeatures) -> Tensor:
        fit = self.running
        fit.tell_of_passes(recorded)
        features = fit.student_features(recorded, self.layout)
        student = [features[name] for name, _ in fit.pairs]
        fit.check_gradients({name: features[name] for name, _ in fit.pairs})
        if not fit.rehearsed:
            self._rehearse(inputs, features)
        task = self._with_own_loss(task, fit, inputs)
        weight = self.weight_at(fit.module.trainer.global_step)
        if fit.logs_figures:
            fit.figures["weight"] = weight
        if weight == 0:
            fit.log(f"{self.name}/loss", float("nan"))
            # DDP needs a gradient also for layers that only the distillation uses.
            parallel = isinstance(fit.module.trainer.strategy, ParallelStrategy)
            return anchor(task, list(features.values())) if parallel else task
        teacher = self.target_features(fit, inputs, features)
        compared = [output.view_as(output) for output in student]  # views, to measure the gradient of this loss alone
        loss = self._learning(lambda: checked_loss(self, fit.labels, compared, teacher))
        fit.log(f"{self.name}/loss", loss.detach())
        if fit.logs_figures:
            fit.figures |= self.figures(student, teacher)
            fit.measure_gradients(recorded, compared, self.layout)
        return task + weight * loss

    def _rehearse(self, inputs: tuple[Any, ...], features: dict[str, Tensor]) -> None:
        """Check the pairs on the first batch, and make the trainable modules."""
        fit = self.running
        student, teacher = [features[name] for name, _ in fit.pairs], self.target_features(fit, inputs, features)
        fit.rehearsed = True
        if self.student_layers is None:
            refuse_doubtful_pairs(fit.pairs, student, teacher)
        self._make_trainable(fit, student, teacher)
        schedule = describe_schedule(self.weight, self.start, self.ramp, self.end)
        tell_pairs(self.name, fit.pairs, student, teacher, [*self.facts(inputs, student, teacher), schedule])
