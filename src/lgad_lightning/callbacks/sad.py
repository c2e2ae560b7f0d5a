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
    """SAD (Hou et al., ICCV 2019): each stage of the student imitates the attention of a deeper stage of the student.

    Args:
        student_layers: The layers that learn. By default, the numbered stages of the student.
        teacher_layers: The layers of the student that they learn from. By default, each layer learns from the next one
            of `student_layers`; the last one does not learn.
        weight: See `AttentionTransfer`. In the paper, the loss begins late: `start=0.66`.
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
        """Return no inputs: there is no other network."""
        return ()

    @override
    def layer_pairs(self, module: nn.Module) -> list[tuple[str, str]]:
        """Pair each layer with the layer that it learns from, by default the next one.

        Returns:
            For each pair, the names of two layers of the student.

        Raises:
            LgadError: If there is no deeper layer to learn from. See also `FeatureDistillation.layer_pairs`.
        """
        pairs = pair_layers(module, self.student_layers, module, self.teacher_layers)
        if self.teacher_layers is not None:
            return pairs
        names = [name for name, _ in pairs]
        if len(names) < 2:
            raise LgadError(f"the layer {names[0]!r} has no deeper layer after it: name two or more student_layers")
        return list(pairwise(names))

    @override
    def target_features(
        self, fit: RunningFit, inputs: tuple[Any, ...], student_features: Mapping[str, Tensor]
    ) -> list[Tensor]:
        """Return the features of the deeper layers, without gradient."""
        return [student_features[name].detach() for _, name in fit.pairs]
