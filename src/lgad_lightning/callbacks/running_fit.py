"""What a distillation callback holds while a fit runs, and lets go of at its end."""

from collections import Counter
from dataclasses import dataclass, field

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
    """The state of one fit; nothing of it is ever copied, pickled or saved.

    Args:
        module: The student.
        joined: The student's training step, as long as the loss joins it.
        pairs: Names of the student's and the teacher's layers.
        layers: The student's layers that are recorded, by name.
        teacher: The working copy of the teacher, made when it is first needed.
        targets: The teacher's features of the step that is running, where they were made ahead of the loss.
        logs_figures: Whether the figures of this batch are logged.
        figures: What is logged after the backward pass to come, by name; empty unless `logs_figures`.
        logged_as_nan: NaN for each figure logged before: Lightning would repeat the last values of those left out.
        gradient_ratios: Those of the backward pass to come.
        size: Height and width of the images of the step that is running, if the batch tells.
        rehearsed: Whether the pairs have been looked at and the trainable modules made.
        looked: How many batches have been looked at.
        lanes: Whether one of them had anything but background in its label.
        warned: The kinds of warnings that the user has been given.
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
        """A name for each pair: the student's layer, and the teacher's too where the student's learns from several."""
        count = Counter(student for student, _ in self.pairs)
        return [student if count[student] == 1 else f"{student}<{teacher}" for student, teacher in self.pairs]

    def look_up(self, pairs: list[tuple[str, str]], both: bool = False) -> None:
        """Take over pairs of layers, and find those of the student that are recorded.

        Args:
            pairs: Names of a layer of the student's and of one of the teacher's, pair by pair.
            both: Whether the second is one of the student's too.

        Raises:
            LgadError: If the student has no layer of a name.
        """
        self.pairs = pairs
        names = [name for pair in pairs for name in (pair if both else pair[:1])]
        self.layers = find_layers(self.module, names, "the student")

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
        if is_compiled(self.module):
            torch.compiler.reset()

    def log(self, name: str, value: Tensor | float) -> None:
        """Log a figure of the step that is running.

        Args:
            name: Its whole name.
            value: Its value.
        """
        self.module.log(name, value)

    def student_features(self, recorded: RecordedFeatures, layout: Layout | None) -> dict[str, Tensor]:
        """Bring what was recorded to `(B, C, H, W)`.

        Args:
            recorded: The outputs of the student's layers.
            layout: Where the channels are in them; None to see it by the images' size.

        Returns:
            The features by the name of the layer.

        Raises:
            LgadError: If a layer did not run, or puts out no feature map, or nobody knows where the channels are.
        """
        outputs = zip(self.layers.items(), recorded.maps(list(self.layers)), strict=True)
        return {
            name: channels_first(output, self.size, layer, f"layer {name!r} of the student", layout)
            for (name, layer), output in outputs
        }

    def check_gradients(self, student: dict[str, Tensor]) -> None:
        """Refuse features that should carry a gradient and do not; warn of those of frozen layers.

        Args:
            student: The outputs of the student's layers that learn, by name.

        Raises:
            LgadError: Naming the first such layer. One whose parameters are all frozen is no such layer.
        """
        for name, features in student.items():
            if features.requires_grad:
                continue
            parameters = _parameters_around(self.module, name)
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

    def log_figures(self, name: str) -> None:
        """Log what there is to log after a backward pass.

        Args:
            name: What the figures' names begin with.
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
        """Leave the module as it was."""
        if self.joined is not None:
            self.joined.remove()
        self.forget_traces()


def _parameters_around(network: nn.Module, name: str) -> list[nn.Parameter]:
    """The parameters of a layer; of one that has none, those of the smallest layer around it that has some."""
    layers = named_layers(network)
    while not (parameters := list(layers[name].parameters())) and name:
        name = name.rpartition(".")[0]
    return parameters
