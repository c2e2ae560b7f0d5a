"""Measures how strong the distillation is compared with the task."""

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor, nn

from lgad_lightning.pairing import ending_norm


class GradientRatios:
    """The norm of the distillation's gradient divided by that of the task's gradient, at features of the student.

    Args:
        labels: Names for the features.
        outputs: Outputs of the student's layers, in the graph of the loss.
        compared: Views of the same features, `(B, C, H, W)`. Only the distillation loss is computed from these views.
        layers: The student's layers. If a layer ends in a `LayerNorm`, the gradients before the norm are compared: the
            norm removes all that would change the sum of squares of a cell.
        to_maps: For each layer, what turns an output of the layer into `(B, C, H, W)`.

    The gradients are measured in the backward pass of the training. After it, `ratios` holds the ratio for each label.
    The gradient that comes back from the distillation of a deeper layer counts as a gradient of the task.
    """

    def __init__(
        self,
        labels: Sequence[str],
        outputs: Sequence[Tensor],
        compared: Sequence[Tensor],
        layers: Sequence[nn.Module],
        to_maps: Sequence[Callable[[Tensor], Tensor]],
    ) -> None:
        self.ratios: dict[str, Tensor] = {}
        self._distillation: dict[str, Tensor] = {}
        for label, output, view, layer, to_map in zip(labels, outputs, compared, layers, to_maps, strict=True):
            if output.requires_grad:
                below = partial(_below, ending_norm(layer), view.detach())
                view.register_hook(partial(self._distillation.__setitem__, label))  # type: ignore[no-untyped-call]
                output.register_hook(partial(self._compare, label, to_map, below))  # type: ignore[no-untyped-call]

    def _compare(
        self, label: str, to_map: Callable[[Tensor], Tensor], below: Callable[[Tensor], Tensor], total: Tensor
    ) -> None:
        distillation = self._distillation.pop(label, None)  # None if only the loss of the task is in this backward pass
        if distillation is not None:
            task = to_map(total).float() - distillation.float()
            self.ratios[label] = below(distillation.float()).norm() / below(task).norm()


def _below(norm: nn.LayerNorm | None, output: Tensor, gradient: Tensor) -> Tensor:
    """The part of a gradient that passes a norm over the channels. Without such a norm, the gradient itself."""
    if norm is None or norm.normalized_shape != (output.shape[1],):
        return gradient
    gain = 1.0 if norm.weight is None else norm.weight.detach().float().view(-1, 1, 1)
    shift = 0.0 if norm.bias is None else norm.bias.detach().float().view(-1, 1, 1)
    cells = (output.float() - shift) / gain  # standardised, if nothing follows the norm
    if not (cells.square().mean(1) < 1.01).all():
        return gradient
    inner = gradient * gain
    return inner - inner.mean(1, keepdim=True) - cells * (inner * cells).mean(1, keepdim=True)
