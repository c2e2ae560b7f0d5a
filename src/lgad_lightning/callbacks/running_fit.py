"""What a distillation callback holds while a fit runs, and lets go of at its end."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from torch._dynamo import OptimizedModule

from lgad_lightning.callbacks.diagnostics import GradientRatios
from lgad_lightning.callbacks.frozen_teacher import FrozenTeacher
from lgad_lightning.callbacks.shadowed_method import ShadowedMethod
from lgad_lightning.errors import LgadError
from lgad_lightning.features import RecordedFeatures


@dataclass(eq=False)
class RunningFit:
    """The state of one fit; nothing of it is ever copied, pickled or saved.

    Args:
        module: The student.
        shadows: The methods of the student that are shadowed.
        pairs: Names of the student's and the teacher's layers.
        layers: The student's layers that are recorded, by name.
        teacher: The working copy of the teacher, made when it is first needed.
        pending: What the teacher is called with in the step that is running, and what has been recorded in it.
        looking: Whether the figures of this batch are logged.
        figures: What is logged after the backward pass to come, by name; empty unless `looking`.
        gaps: NaN for each figure that has been logged: Lightning would repeat the last values of those left out.
        gradient_ratios: Those of the backward pass to come.
        size: Height and width of the images of the step that is running, if the batch tells.
        rehearsed: Whether the trainable modules have been made.
        looked: How many batches have been looked at.
        lanes: Whether one of them had anything but background in its label.
        warned: The kinds of warnings that the user has been given.
    """

    module: L.LightningModule
    shadows: list[ShadowedMethod] = field(default_factory=list)
    pairs: list[tuple[str, str]] = field(default_factory=list)
    layers: dict[str, nn.Module] = field(default_factory=dict)
    teacher: FrozenTeacher | None = None
    pending: tuple[tuple[Any, ...], RecordedFeatures] | None = None
    looking: bool = False
    figures: dict[str, Tensor | float] = field(default_factory=dict)
    gaps: dict[str, float] = field(default_factory=dict)
    gradient_ratios: GradientRatios | None = None
    size: tuple[int, int] | None = None
    rehearsed: bool = False
    looked: int = 0
    lanes: bool = False
    warned: set[str] = field(default_factory=set)

    @property
    def labels(self) -> list[str]:
        """A name for each pair: the student's layer, and the teacher's too where the student's learns from several."""
        count = Counter(student for student, _ in self.pairs)
        return [student if count[student] == 1 else f"{student}<{teacher}" for student, teacher in self.pairs]

    def warn_once(self, kind: str, message: str) -> None:
        """Warn, but not a second time of the same in this fit.

        Args:
            kind: What is warned of.
            message: What to say.
        """
        if kind not in self.warned:
            rank_zero_warn(message)
            self.warned.add(kind)

    def forget_traces(self) -> None:
        """Have compiled code traced again, because `torch.compile` does not notice hooks that come or go."""
        if getattr(self.module, "_compiler_ctx", None) is not None or any(
            isinstance(module, OptimizedModule) or module._compiled_call_impl is not None
            for module in self.module.modules()
        ):
            torch.compiler.reset()

    def check_gradients(self, names: Sequence[str], student: Sequence[Tensor]) -> None:
        """Refuse features that should carry a gradient and do not; warn of those of frozen layers.

        Args:
            names: The student's layers.
            student: Their outputs.

        Raises:
            LgadError: Naming the first such layer. One whose parameters are all frozen is no such layer.
        """
        for name, features in zip(names, student, strict=True):
            if features.requires_grad:
                continue
            layer = self.layers[name]
            parameters = list(layer.parameters()) or list(self.module.parameters())
            if any(parameter.requires_grad for parameter in parameters):
                raise LgadError(
                    f"the output of layer {name!r} of the student carries no gradient, so nothing can be distilled into"
                    " it: it ran under torch.no_grad, or below reentrant activation checkpointing (use_reentrant=False"
                    " works)"
                )
            self.warn_once(
                f"frozen {name}",
                f"layer {name!r} of the student and all before it are frozen, so the distillation teaches it nothing"
                " until they are unfrozen (as BackboneFinetuning does later): name other student_layers, or train them",
            )

    def expect_distilled(self, features: RecordedFeatures) -> None:
        """Warn if nothing was distilled in a step with manual optimisation.

        Args:
            features: What was recorded and not distilled by the end of the step.
        """
        if any(isinstance(output, Tensor) and output.requires_grad for output in features.outputs.values()):
            self.warn_once(
                "not distilled",
                "the student's layers ran, but no self.manual_backward(loss) of this step went through them, so nothing"
                " was distilled: call it instead of loss.backward()",
            )

    def close(self) -> None:
        """Leave the module as it was."""
        for shadow in self.shadows:
            shadow.remove()
        self.forget_traces()
