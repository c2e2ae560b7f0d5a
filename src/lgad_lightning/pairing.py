"""Decides which layer of a student learns from which layer of a teacher."""

import re
from collections.abc import Sequence

from torch import nn

from lgad_lightning.errors import LgadError
from lgad_lightning.features import layer_names, named_layers

_STAGE = re.compile(r"(?:stage|layer|block)s?[._]?(\d+)$")


def pair_layers(
    student: nn.Module,
    student_layers: Sequence[str] | None,
    teacher: nn.Module,
    teacher_layers: Sequence[str] | None,
) -> list[tuple[str, str]]:
    """Decide which layer of a student learns from which layer of a teacher.

    Args:
        student: The student.
        student_layers: Names or patterns of its layers. With `None`, the outermost numbered stages (named like
            `stage2`, `layer2`, `block2`, `stages.2`) are paired with those of the same number in the teacher. If a
            stage ends in a `LayerNorm`, the layer before the norm is taken.
        teacher: The teacher.
        teacher_layers: Names or patterns of its layers, one for each layer of the student. `None`: the same names.

    Returns:
        For each pair, the names of the student's and the teacher's layer.

    Raises:
        LgadError: If a name is unknown (the message lists similar names), if the two lists do not match, or if the
            numbered layers belong to a whole network with decoder and logits.

    Example:
        >>> student = nn.ModuleDict({"net": nn.ModuleDict({"layer1": nn.ReLU(), "layer2": nn.ReLU()})})
        >>> teacher = nn.ModuleDict({"stage1": nn.ReLU(), "stage2": nn.ReLU(), "stage3": nn.ReLU()})
        >>> pair_layers(student, None, teacher, None)
        [('net.layer1', 'stage1'), ('net.layer2', 'stage2')]
    """
    if student_layers is None:
        if teacher_layers is not None:
            raise LgadError(
                "teacher_layers is set without student_layers: set both, or none to pair the stages by number"
            )
        of_student, of_teacher = _stages(student, "the student"), _stages(teacher, "the teacher")
        pairs = [(of_student[number], of_teacher[number]) for number in of_student if number in of_teacher]
        if not pairs:
            raise LgadError(
                f"no stages to pair by number (student {of_student}, teacher {of_teacher}): name the layers"
            )
        return pairs
    student_names = layer_names(student, student_layers, "the student")
    teacher_names = layer_names(teacher, student_names if teacher_layers is None else teacher_layers, "the teacher")
    if len(student_names) != len(teacher_names) or not student_names:
        raise LgadError(
            f"student_layers are {student_names}, but teacher_layers are {teacher_names}: give one for each"
        )
    return list(dict.fromkeys(zip(student_names, teacher_names, strict=True)))  # patterns may overlap


def layer_before_norm(name: str, layer: nn.Module) -> str:
    """Find the last layer before the `LayerNorm` that ends a layer.

    After a `LayerNorm`, all cells have the same sum of squares, so an attention map shows nothing.

    Args:
        name: The name of the layer.
        layer: The layer. Of a list, which never runs itself, the last layer is taken.

    Returns:
        The name of the last layer before the norm, or `name` if the layer does not end in a norm.

    Example:
        >>> layer_before_norm("stage1", nn.Sequential(nn.Conv2d(3, 8, 1), nn.LayerNorm(8)))
        'stage1.0'
    """
    children = list(layer.named_children())
    if len(children) > 1 and isinstance(children[-1][1], nn.LayerNorm):
        del children[-1]
    elif not children or not isinstance(layer, nn.ModuleList):
        return name
    inner, last = children[-1]
    name = f"{name}.{inner}"
    return layer_before_norm(name, last) if isinstance(last, nn.ModuleList) else name


def ending_norm(layer: nn.Module) -> nn.LayerNorm | None:
    """Find the `LayerNorm` that ends a layer, by the order of its definition.

    Args:
        layer: The layer.

    Returns:
        The norm. None if the layer ends in something else.

    Example:
        >>> ending_norm(nn.Sequential(nn.Conv2d(3, 8, 1), nn.LayerNorm(8)))  # doctest: +ELLIPSIS
        LayerNorm((8,), ...)
    """
    while (children := list(layer.children())) and not isinstance(layer, nn.LayerNorm):
        layer = children[-1]
    return layer if isinstance(layer, nn.LayerNorm) else None


def _stages(network: nn.Module, owner: str) -> dict[int, str]:
    layers = named_layers(network)
    numbered = [(name, match) for name in layers if (match := _STAGE.search(name))]
    depth = min((name.count(".") for name, _ in numbered), default=0)
    stages: dict[int, str] = {}
    for name, match in numbered:
        if name.count(".") == depth and stages.setdefault(int(match[1]), name) != name:
            raise LgadError(f"{owner} has two stages {match[1]}, {stages[int(match[1])]} and {name}: name the layers")
    if not stages:
        raise LgadError(f"{owner} has no layers named like 'stage2' or 'layer2' to pair by number: name the layers")
    last = stages[max(stages)]
    bare = [isinstance(layers[name], nn.Conv2d) for name in stages.values()]
    if isinstance(layers[last], nn.Conv2d) and (not all(bare) or (len(bare) > 1 and _is_pointwise(layers[last]))):
        raise LgadError(
            f"the numbered layers of {owner} are not stages of an encoder: {last} is a single convolution, probably"
            f" the logits. Name the layers to distil. There are {', '.join(stages.values())}"
        )
    return {number: layer_before_norm(name, layers[name]) for number, name in stages.items()}


def _is_pointwise(layer: nn.Module) -> bool:
    return getattr(layer, "kernel_size", None) == (1, 1)
