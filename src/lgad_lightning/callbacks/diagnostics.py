"""Whether the distillation pulls at the student with a sensible force."""

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor, nn

from lgad_lightning.pairing import ending_norm


class GradientRatios:
    """The distillation's gradient over the task's at features of the student, measured in the backward pass itself.

    Args:
        labels: Names for the features.
        features: Outputs `(B, C, H, W)` of the student's layers, in the graph of the loss.
        compared: Views of the same features that only the distillation loss was computed from.
        layers: The student's layers. Of one that ends in a `LayerNorm`, what counts are the gradients below it, before
            its division by the standard deviation: it lets through nothing that would change a cell's sum of squares.

    After the backward pass `ratios` holds a norm ratio for each label. Where a shallower layer precedes a deeper one,
    what the deeper one's distillation sends back through it counts as the task's.
    """

    def __init__(
        self,
        labels: Sequence[str],
        features: Sequence[Tensor],
        compared: Sequence[Tensor],
        layers: Sequence[nn.Module],
    ) -> None:
        self.ratios: dict[str, Tensor] = {}
        self._distillation: dict[str, Tensor] = {}
        for label, feature, view, layer in zip(labels, features, compared, layers, strict=True):
            if feature.requires_grad:
                below = partial(_below, ending_norm(layer), feature.detach())
                view.register_hook(partial(self._distillation.__setitem__, label))  # type: ignore[no-untyped-call]
                feature.register_hook(partial(self._compare, label, below))  # type: ignore[no-untyped-call]

    def _compare(self, label: str, below: Callable[[Tensor], Tensor], total: Tensor) -> None:
        distillation = self._distillation.pop(label, None)  # none in a backward pass of the task's loss alone
        if distillation is not None:
            task = total.float() - distillation.float()
            self.ratios[label] = below(distillation.float()).norm() / below(task).norm()


def _below(norm: nn.LayerNorm | None, output: Tensor, gradient: Tensor) -> Tensor:
    """The part of a gradient at the output of a norm over the channels that passes it; any other as it is."""
    if norm is None or norm.normalized_shape != (output.shape[1],):
        return gradient
    gain = 1.0 if norm.weight is None else norm.weight.detach().float().view(-1, 1, 1)
    shift = 0.0 if norm.bias is None else norm.bias.detach().float().view(-1, 1, 1)
    cells = (output.float() - shift) / gain  # standardised, if nothing follows the norm
    if not (cells.square().mean(1) < 1.01).all():
        return gradient
    inner = gradient * gain
    return inner - inner.mean(1, keepdim=True) - cells * (inner * cells).mean(1, keepdim=True)
