from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn
from typing_extensions import override

from lgad_lightning.callbacks.attention_transfer import AttentionTransfer
from lgad_lightning.callbacks.running_fit import RunningFit
from lgad_lightning.errors import LgadError
from lgad_lightning.pairing import pair_layers


class SelfAttentionDistillation(AttentionTransfer):
    """SAD (Hou et al., ICCV 2019): a deeper stage of the student itself, detached, is the teacher.

    Args:
        student_layers: The layers that learn; by default the student's numbered stages.
        teacher_layers: The student's layers that they learn from; by default each learns from the next of
            `student_layers`, and the last only teaches.
        weight: See `AttentionTransfer`. SAD itself switches its loss on late: `start=0.66`.
        **kwargs: The other arguments of `AttentionTransfer`.

    Example:
        >>> callback = SelfAttentionDistillation(["net.stage1", "net.stage2", "net.stage3"], start=40_000)
        >>> callback.weight_at(0), callback.weight_at(40_000)
        (0.0, 0.3)
    """

    default_name = "sad"
    teaches_itself = True

    def __init__(
        self,
        student_layers: Sequence[str] | None = None,
        teacher_layers: Sequence[str] | None = None,
        weight: float = 0.3,
        **kwargs: Any,
    ) -> None:
        super().__init__(None, student_layers, teacher_layers, weight, **kwargs)

    @override
    def teacher_inputs(self, batch: Any) -> tuple[Any, ...]:
        """Ask nothing of the batch.

        Args:
            batch: What `training_step` is given.

        Returns:
            An empty tuple: the student's own features are all there is to know.
        """
        return ()

    @override
    def layer_pairs(self, module: nn.Module) -> list[tuple[str, str]]:
        """Pair each layer with the one it learns from, by default the next.

        Args:
            module: The student.

        Returns:
            Names of two layers of the student, pair by pair.

        Raises:
            LgadError: If there is no deeper layer to learn from; see also `FeatureDistillation.layer_pairs`.
        """
        pairs = pair_layers(module, self.student_layers, module, self.teacher_layers)
        if self.teacher_layers is not None:
            return pairs
        names = [name for name, _ in pairs]
        if len(names) < 2:
            raise LgadError(f"the layer {names[0]!r} has no deeper one to learn from: name two or more student_layers")
        return list(pairwise(names))

    @override
    def target_features(
        self, fit: RunningFit, inputs: tuple[Any, ...], student_features: Mapping[str, Tensor]
    ) -> list[Tensor]:
        """Take the deeper layers' features, detached.

        Args:
            fit: Holds the pairs.
            inputs: Not looked at.
            student_features: See `FeatureDistillation.target_features`.

        Returns:
            One `(B, C', H', W')` for each pair.
        """
        return [student_features[name].detach() for _, name in fit.pairs]
