"""Checks the pairs of layers on the first batch of a fit, and prints one line about them."""

from collections.abc import Sequence
from itertools import pairwise

from lightning.pytorch.utilities import rank_zero_info
from torch import Size, Tensor

from lgad_lightning.errors import LgadError

_FAR = 4  # times as high or wide


def refuse_doubtful_pairs(
    pairs: Sequence[tuple[str, str]], student: Sequence[Tensor], teacher: Sequence[Tensor]
) -> None:
    """Refuse pairs that were found by number but are not stages of two encoders.

    Args:
        pairs: Names of the student's and the teacher's layers, in the order of their numbers.
        student: The student's features, `(B, C, H, W)`.
        teacher: The teacher's features, `(B, C', H', W')`.

    Raises:
        LgadError: If the maps of one side grow again, as in a decoder, or if the sizes of a pair differ by more than
            four times. The message lists the pairs.
    """
    for side, (owner, features) in enumerate((("student", student), ("teacher", teacher))):
        sizes = [_size(output.shape) for output in features]
        for (before, after), (earlier, later) in zip(pairwise(pairs), pairwise(sizes), strict=True):
            if later[0] > earlier[0] or later[1] > earlier[1]:
                reason = f"the maps of the {owner} grow from {before[side]} to {after[side]}, as in a decoder"
                raise LgadError(_doubt(reason, pairs, student, teacher))
    for (name, other), one, two in zip(pairs, student, teacher, strict=True):
        ratios = [max(a / b, b / a) for a, b in zip(_size(one.shape), _size(two.shape), strict=True)]
        if max(ratios) > _FAR and other != "label":
            raise LgadError(
                _doubt(f"{name} and {other} have very different sizes for the same scene", pairs, student, teacher)
            )


def tell_pairs(
    name: str,
    pairs: Sequence[tuple[str, str]],
    student: Sequence[Tensor],
    teacher: Sequence[Tensor],
    facts: Sequence[str],
) -> None:
    """Print one line that says what is distilled.

    Args:
        name: The name of the distillation.
        pairs: Names of the student's and the teacher's layers.
        student: The student's features, `(B, C, H, W)`.
        teacher: The teacher's features, `(B, C', H', W')`.
        facts: More parts of the line.
    """
    rank_zero_info("; ".join([f"{name}: {_list(pairs, student, teacher)}", *facts]))


def _doubt(reason: str, pairs: Sequence[tuple[str, str]], student: Sequence[Tensor], teacher: Sequence[Tensor]) -> str:
    return (
        f"the layers were paired by their numbers, but do not fit: {reason}. Name student_layers and teacher_layers."
        f" The pairs were {_list(pairs, student, teacher)}"
    )


def _list(pairs: Sequence[tuple[str, str]], student: Sequence[Tensor], teacher: Sequence[Tensor]) -> str:
    return ", ".join(
        f"{name} {_shape(one.shape)} from {other} {_shape(two.shape)}"
        for (name, other), one, two in zip(pairs, student, teacher, strict=True)
    )


def _shape(shape: Size) -> str:
    return "x".join(map(str, shape[1:]))


def _size(shape: Size) -> tuple[int, int]:
    return shape[-2], shape[-1]
