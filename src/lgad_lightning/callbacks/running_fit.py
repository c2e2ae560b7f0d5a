"""The state of a distillation callback during a fit."""

from collections import Counter
from dataclasses import dataclass, field
from functools import partial

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn

from lgad_lightning.callbacks.diagnostics import GradientRatios
from lgad_lightning.callbacks.frozen_teacher import FrozenTeacher
from lgad_lightning.callbacks.joined_step import JoinedStep
from lgad_lightning.errors import LgadError
from lgad_lightning.feature_layout import Layout, channels_first
from lgad_lightning.features import RecordedFeatures, find_layers, named_layers
from lgad_lightning.internals import is_compiled


@dataclass(eq=False)
class RunningFit:
    """The state of one fit. It is never copied, pickled or saved.

    Args:
        module: The student.
        joined: The wrapped training step of the student.
        pairs: For each pair, the names of the student's and the teacher's layer.
        layers: The recorded layers of the student, by name.
        teacher: The copy of the teacher. It is made when it is first needed.
        targets: The teacher's features of the current step, if they were computed before the loss.
        logs_figures: Whether the figures of this batch are logged.
        figures: The figures to log after the next backward pass, by name. Empty if `logs_figures` is False.
        logged_as_nan: NaN for each figure that was logged before. Without it, Lightning would repeat the last value.
        gradient_ratios: The gradient ratios of the next backward pass.
        size: Height and width of the images of the current step, if the batch shows them.
        rehearsed: Whether the pairs were checked and the trainable modules made.
        looked: The number of batches whose inputs were checked.
        lanes: Whether one of these batches had a label with more than background.
        warned: The kinds of warnings that were already given.
    """

    module: L.LightningModule
    joined: JoinedStep | None = None
    pairs: list[tuple[str, str]] = field(default_factory=list)
    layers: dict[str, nn.Module] = field(default_factory=dict)
    teacher: FrozenTeacher | None = None
    targets: list[Tensor] = field(default_factory=list)
    logs_figures: bool = False
    figures: dict[str, Tensor | float] = field(default_factory=dict)
    logged_as_nan: dict[str, float] = field(default_factory=dict)
    gradient_ratios: GradientRatios | None = None
    size: tuple[int, int] | None = None
    rehearsed: bool = False
    looked: int = 0
    lanes: bool = False
    warned: set[str] = field(default_factory=set)

    @property
    def labels(self) -> list[str]:
        """A name for each pair: the student's layer. If it learns from several layers, the teacher's layer is added."""
        count = Counter(student for student, _ in self.pairs)
        return [student if count[student] == 1 else f"{student}<{teacher}" for student, teacher in self.pairs]

    def look_up(self, pairs: list[tuple[str, str]], both: bool = False) -> None:
        """Set the pairs of layers, and find the student's layers to record.

        Args:
            pairs: For each pair, the names of the student's and the teacher's layer.
            both: Whether the second layer is a layer of the student, too.

        Raises:
            LgadError: If the student has no layer of this name.
        """
        self.pairs = pairs
        names = [name for pair in pairs for name in (pair if both else pair[:1])]
        self.layers = find_layers(self.module, names, "the student")

    def warn_once(self, kind: str, message: str) -> None:
        """Give a warning once in a fit.

        Args:
            kind: The kind of the warning. Each kind is given once.
            message: The text.
        """
        if kind not in self.warned:
            rank_zero_warn(message)
            self.warned.add(kind)

    def forget_traces(self) -> None:
        """Reset compiled code, because `torch.compile` does not notice new or removed hooks."""
        if is_compiled(self.module):
            torch.compiler.reset()

    def log(self, name: str, value: Tensor | float) -> None:
        """Log a figure of the current step.

        Args:
            name: The whole name of the figure.
            value: The value.
        """
        self.module.log(name, value)

    def tell_of_passes(self, recorded: RecordedFeatures) -> None:
        """Warn once if layers of the student ran several times with gradient.

        Args:
            recorded: The outputs of the student's layers.
        """
        if max(recorded.trained.values(), default=0) > 1:
            runs = ", ".join(f"{name} {count} times" for name, count in recorded.trained.items())
            mixed = " Some ran in other passes than others." if len(set(recorded.trained.values())) > 1 else ""
            self.warn_once(
                "passes",
                f"before the loss, layers of the student ran several times with gradient ({runs}), and only the last"
                f" output of each is distilled, with the labels of the batch.{mixed} The last pass must be the one to"
                " distil",
            )

    def student_features(self, recorded: RecordedFeatures, layout: Layout | None) -> dict[str, Tensor]:
        """Convert the recorded features to `(B, C, H, W)`.

        Args:
            recorded: The outputs of the student's layers.
            layout: The layout of the features. None: it is found by the size of the images.

        Returns:
            The features by the name of the layer.

        Raises:
            LgadError: If a layer did not run, if its output is not a feature map, or if its layout is not clear.
        """
        outputs = zip(self.layers, recorded.maps(list(self.layers)), strict=True)
        return {name: self.as_map(name, layout, output) for name, output in outputs}

    def as_map(self, name: str, layout: Layout | None, output: Tensor) -> Tensor:
        """Convert the output of a student's layer to `(B, C, H, W)`; see `student_features`.

        Args:
            name: The layer.
            layout: The layout of the output. None: it is found by the size of the images.
            output: The output, or another tensor of its shape.
        """
        return channels_first(output, self.size, self.layers[name], f"layer {name!r} of the student", layout)

    def measure_gradients(self, recorded: RecordedFeatures, compared: list[Tensor], layout: Layout | None) -> None:
        """Measure the gradient ratios in the next backward pass.

        Args:
            recorded: The outputs of the student's layers.
            compared: A view of the features of each pair. Only the distillation loss is computed from these views.
            layout: See `student_features`.
        """
        names = [name for name, _ in self.pairs]
        outputs, layers = [recorded[name] for name in names], [self.layers[name] for name in names]
        to_maps = [partial(self.as_map, name, layout) for name in names]
        self.gradient_ratios = GradientRatios(self.labels, outputs, compared, layers, to_maps)

    def check_gradients(self, student: dict[str, Tensor]) -> None:
        """Refuse features without a gradient. Warn if their layers are frozen.

        Args:
            student: The outputs of the student's layers that learn, by name.

        Raises:
            LgadError: If a layer with trainable parameters has no gradient. The message names the first one.
        """
        for name, features in student.items():
            if features.requires_grad:
                continue
            parameters = parameters_around(self.module, name)
            if any(parameter.requires_grad for parameter in parameters):
                raise LgadError(
                    f"the output of layer {name!r} of the student carries no gradient, so the distillation cannot train"
                    " it: it ran under torch.no_grad, or within reentrant activation checkpointing (use"
                    " use_reentrant=False)"
                )
            self.warn_once(
                f"frozen {name}",
                f"layer {name!r} of the student and all layers before it are frozen, so the distillation has no"
                " effect on it until they are unfrozen (as BackboneFinetuning does): name other student_layers, or"
                " train these",
            )

    def log_figures(self, name: str) -> None:
        """Log the figures after a backward pass.

        Args:
            name: The first part of the names in the log.
        """
        if self.figures:
            ratios = {} if self.gradient_ratios is None else self.gradient_ratios.ratios
            figures = (
                self.logged_as_nan
                | self.figures
                | {f"gradient_ratio/{label}": ratio for label, ratio in ratios.items()}
            )
            self.module.log_dict({f"{name}/{figure}": value for figure, value in figures.items()})
            self.figures, self.logged_as_nan, self.gradient_ratios = {}, dict.fromkeys(figures, float("nan")), None

    def close(self) -> None:
        """Restore the module."""
        if self.joined is not None:
            self.joined.remove()
        self.forget_traces()


def parameters_around(network: nn.Module, name: str) -> list[nn.Parameter]:
    """The parameters of a layer. If it has none, those of the smallest layer around it that has some."""
    layers = named_layers(network)
    while not (parameters := list(layers[name].parameters())) and name:
        name = name.rpartition(".")[0]
    return parameters
