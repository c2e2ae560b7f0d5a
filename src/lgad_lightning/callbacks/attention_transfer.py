from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from lgad_lightning.attention import (
    Distance,
    Normalisation,
    Reduction,
    attention_agreement,
    attention_distance,
    attention_map,
    attention_perplexity,
    normalise_attention,
    smaller_size,
)
from lgad_lightning.callbacks.distillation import FeatureDistillation
from lgad_lightning.pairing import layer_before_norm

_SATURATED = 2.0  # cells
_FLAT = 0.01  # standard deviation of a map's cells over their mean


class AttentionTransfer(FeatureDistillation):
    """The student's attention maps imitate those of a teacher that sees the same images, for example a larger network.

    The default is the form of Zagoruyko & Komodakis (ICLR 2017): a map is the sum of squares over the channels, divided
    by its Euclidean norm. The squared differences of two maps are summed over the map and averaged over the batch. The
    losses of the pairs are added. The form of the papers on SAD and LGAD is `normalisation="softmax"`.

    Args:
        teacher: See `FeatureDistillation`.
        student_layers: See `FeatureDistillation`.
        teacher_layers: See `FeatureDistillation`.
        weight: Factor of the loss. With the defaults, the loss of each pair is between 0 and 2; 0.1 to 1 is usual.
        power: See `attention_map`.
        reduction: See `attention_map`.
        normalisation: See `normalise_attention`.
        distance: See `attention_distance`.
        temperature: See `normalise_attention`.
        size: Height and width at which maps are compared, for example those of the label. By default, those of the
            smaller map.
        **kwargs: The other arguments of `FeatureDistillation`.

    Example:
        >>> callback = AttentionTransfer(nn.Conv2d(3, 8, 1), ["net.layer1", "net.layer2"], ["0", "1"], weight=0.5)
        >>> left, right = torch.tensor([[[[3.0, 0.0]]]]), torch.tensor([[[[0.0, 1.0]]]])
        >>> callback.compute_loss([left, left], [2 * left, right])  # alike in the first pair, opposite in the second
        tensor(2.)
    """

    default_name = "attention_transfer"

    def __init__(
        self,
        teacher: nn.Module | None,
        student_layers: Sequence[str] | None = None,
        teacher_layers: Sequence[str] | None = None,
        weight: float = 0.3,
        power: float = 2.0,
        reduction: Reduction = "sum",
        normalisation: Normalisation = "l2",
        distance: Distance = "squared",
        temperature: float = 1.0,
        size: tuple[int, int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(teacher, student_layers, teacher_layers, weight, **kwargs)
        self.power = power
        self.reduction = reduction
        self.normalisation = normalisation
        self.distance = distance
        self.temperature = temperature
        self.size = None if size is None else (size[0], size[1])
        self._distances([torch.ones(1, 1, 2, 2)], [torch.ones(1, 1, 2, 2)])  # an unknown form fails here

    @override
    def compute_loss(self, student_features: list[Tensor], teacher_features: list[Tensor]) -> Tensor:
        """Add the distances between the attention maps of all pairs."""
        return self.added_up(self._distances(student_features, teacher_features))

    def _maps(self, features: list[Tensor]) -> list[Tensor]:
        return [attention_map(feature, self.power, self.reduction) for feature in features]

    def _distances(self, student: list[Tensor], teacher: list[Tensor]) -> list[Tensor]:
        return [
            attention_distance(s, t, self.normalisation, self.distance, self.temperature, self.size)
            for s, t in zip(self._maps(student), self._maps(teacher), strict=True)
        ]

    @override
    def facts(
        self, inputs: tuple[Any, ...], student_features: list[Tensor], teacher_features: list[Tensor]
    ) -> list[str]:
        """Say at which resolution the maps are compared."""
        both = zip(student_features, teacher_features, strict=True)
        sizes = [self.size or smaller_size(s, t) for s, t in both]
        return [f"maps compared at {', '.join(f'{height}x{width}' for height, width in dict.fromkeys(sizes))}"]

    @override
    @torch.no_grad()
    def figures(self, student_features: list[Tensor], teacher_features: list[Tensor]) -> dict[str, Tensor]:
        """Return agreement and perplexity of each pair, and warn if a map teaches nothing."""
        student, teacher = student_features, teacher_features
        fit, figures = self.running, dict[str, Tensor]()
        for label, s, t in zip(fit.labels, self._maps(student), self._maps(teacher), strict=True):
            figures[f"agreement/{label}"] = attention_agreement(s, t).mean()
            for side, maps in (("student", s), ("teacher", t)):
                normalised = normalise_attention(maps, self.normalisation, self.temperature)
                spread = figures[f"{side}_perplexity/{label}"] = attention_perplexity(normalised).mean()
                if (maps.flatten(1).std(1) <= _FLAT * maps.flatten(1).mean(1)).all():
                    fit.warn_once(
                        f"flat {side} {label}",
                        f"{type(self).__name__}: at {label} the {side}'s attention is the same on all {maps[0].numel()}"
                        " cells, so nothing can be learnt from it. If the layer ends in a norm over the channels"
                        f" (LayerNorm), name the layer before the norm{self._before_norm(label, side)} in"
                        f" {side}_layers. If it is a transformer that has not been trained, this ends during the"
                        " training, earlier with pretrained weights",
                    )
                if spread < _SATURATED:
                    fit.warn_once(
                        "saturated",
                        f"{type(self).__name__}: at {label} the {side}'s attention is all on {spread:.1f} of"
                        f" {maps[0].numel()} cells, so nothing useful can be learnt from it: {self._remedy()}",
                    )
        return figures

    def _before_norm(self, label: str, side: str) -> str:
        layer = self.running.layers.get(label)
        before = label if layer is None or side == "teacher" else layer_before_norm(label, layer)
        return "" if before == label else f", {before!r},"

    def _remedy(self) -> str:
        if self.normalisation == "softmax":
            return "normalisation='softmax' saturates; use 'l2' or 'zscore', or raise the temperature"
        if self.normalisation == "zscore":
            return "raise the temperature, or use normalisation='l2'"
        return "name another layer in student_layers and teacher_layers, or lower the power"
