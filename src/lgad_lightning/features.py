"""The outputs of named layers of a network, recorded for the length of a `with` block."""

import difflib
import fnmatch
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from lgad_lightning.errors import LgadError

# Names that torch.compile, activation checkpointing and FSDP put between a module and the one they wrap.
_WRAPPERS = re.compile(r"(^|\.)(_orig_mod|_checkpoint_wrapped_module|_fsdp_wrapped_module)(?=\.|$)")
_STAGE = re.compile(r"(?:stage|layer|block)s?[._]?(\d+)$")


class _AllRecorded(BaseException):
    """Leaves a forward pass early; no `except Exception` in a network may stop it."""

    def __init__(self, recorded: "RecordedFeatures") -> None:
        self.recorded = recorded


def layer_names(network: nn.Module, patterns: Sequence[str], owner: str = "the network") -> list[str]:
    """Look the names of layers up.

    Args:
        network: The network that holds them.
        patterns: Names as `named_modules` gives them, without the parts that wrappers such as `torch.compile` add;
            `*` and `?` match within one part of a name (`encoder.stage*` finds `encoder.stage1`, but nothing in it).
        owner: What to call the network in error messages.

    Returns:
        The names, in the order of `patterns`, and of the network's definition within one pattern.

    Raises:
        LgadError: If a pattern matches no layer; the message lists the nearest names.

    Example:
        >>> network = nn.ModuleDict({"stage1": nn.Identity(), "stage2": nn.Sequential(nn.ReLU())})
        >>> layer_names(network, ["stage*"])
        ['stage1', 'stage2']
    """
    names = list(_named_layers(network))
    patterns = [patterns] if isinstance(patterns, str) else patterns  # or its letters would be the names
    found: list[str] = []
    for pattern in patterns:
        matches = [pattern] if pattern in names else [name for name in names if _matches(name, pattern)]
        if not matches:
            raise LgadError(f"no layer of {owner} is named {pattern!r}; {_near_matches(pattern, names)}")
        found += matches
    return found


def find_layers(network: nn.Module, patterns: Sequence[str], owner: str = "the network") -> dict[str, nn.Module]:
    """Look layers up by name; see `layer_names`.

    Args:
        network: The network that holds them.
        patterns: Their names.
        owner: What to call the network in error messages.

    Returns:
        The layers by name.

    Raises:
        LgadError: If a pattern matches no layer; the message lists the nearest names.

    Example:
        >>> find_layers(nn.Sequential(nn.ReLU(), nn.Sigmoid()), ["1"])
        {'1': Sigmoid()}
    """
    layers = _named_layers(network)
    return {name: layers[name] for name in layer_names(network, patterns, owner)}


def pair_layers(
    student: nn.Module,
    student_layers: Sequence[str] | None,
    teacher: nn.Module,
    teacher_layers: Sequence[str] | None,
) -> list[tuple[str, str]]:
    """Decide which layer of a student learns from which layer of a teacher.

    Args:
        student: The student.
        student_layers: Names or patterns of its layers; `None` pairs the outermost layers that are numbered stages
            (named like `stage2`, `layer2`, `block2`, `stages.2`) with those of the same number in the teacher.
        teacher: The teacher.
        teacher_layers: Names or patterns of its layers, as many; `None` means the same names.

    Returns:
        Names of the student's and the teacher's layers, pair by pair.

    Raises:
        LgadError: If a name is unknown (the message lists the nearest ones), or the two sides do not match up.

    Example:
        >>> student = nn.ModuleDict({"net": nn.ModuleDict({"layer1": nn.ReLU(), "layer2": nn.ReLU()})})
        >>> teacher = nn.ModuleDict({"stage1": nn.ReLU(), "stage2": nn.ReLU(), "stage3": nn.ReLU()})
        >>> pair_layers(student, None, teacher, None)
        [('net.layer1', 'stage1'), ('net.layer2', 'stage2')]
    """
    if student_layers is None:
        if teacher_layers is not None:
            raise LgadError("teacher_layers without student_layers: name both, or neither to pair the stages by number")
        of_student, of_teacher = _stages(student, "the student"), _stages(teacher, "the teacher")
        pairs = [(of_student[number], of_teacher[number]) for number in of_student if number in of_teacher]
        if not pairs:
            raise LgadError(f"no stages to pair by number: student {of_student}, teacher {of_teacher}: name the layers")
        return pairs
    student_names = layer_names(student, student_layers, "the student")
    teacher_names = layer_names(teacher, student_names if teacher_layers is None else teacher_layers, "the teacher")
    if len(student_names) != len(teacher_names) or not student_names:
        raise LgadError(
            f"student_layers are {student_names} and teacher_layers {teacher_names}: one of the teacher's for each"
        )
    return list(zip(student_names, teacher_names, strict=True))


class RecordedFeatures:
    """The outputs of layers by name, which fill up while the block of `record_features` runs.

    Args:
        owner: What to call the network in error messages.
    """

    def __init__(self, owner: str = "the network") -> None:
        self.outputs: dict[str, Any] = {}
        self.versions: dict[str, int] = {}
        self._owner = owner

    def __getitem__(self, name: str) -> Any:
        """The output of the layer of that name."""
        return self.outputs[name]

    def maps(self, names: Sequence[str]) -> list[Tensor]:
        """Put outputs in order, after checks.

        Args:
            names: The wanted layers.

        Returns:
            One tensor `(B, C, H, W)` for each of the names.

        Raises:
            LgadError: If a layer did not run, put out something else, or something after it changed its output in
                place (a network that is left early would not have); the message names it.
        """
        return [self._map(name) for name in names]

    def _map(self, name: str) -> Tensor:
        layer = f"layer {name!r} of {self._owner}"
        if name not in self.outputs:
            raise LgadError(f"{layer} did not run: name a layer that the forward pass calls")
        output = self.outputs[name]
        if not isinstance(output, Tensor):
            raise LgadError(f"{layer} puts out a {type(output).__name__}, not a tensor (B, C, H, W)")
        if output.ndim != 4:
            raise LgadError(f"{layer} puts out a tensor of shape {tuple(output.shape)}, not (B, C, H, W)")
        if output._version != self.versions[name]:
            raise LgadError(
                f"the output of {layer} is changed in place by what follows it, nn.ReLU(inplace=True) perhaps: "
                "name that layer, or make it inplace=False"
            )
        return output


class _Record:
    """A forward hook that does nothing in a copy of the network."""

    def __init__(self, name: str = "", recorded: RecordedFeatures | None = None, wanted: int | None = None) -> None:
        self._name = name
        self._recorded = recorded
        self._wanted = wanted

    def __call__(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if self._recorded is None:
            return
        if _carries_gradient(self._recorded.outputs.get(self._name)) and not _carries_gradient(output):
            return  # run once more for a metric or a pseudo label, say; what is trained is the other output
        self._recorded.outputs[self._name] = output
        if isinstance(output, Tensor):
            self._recorded.versions[self._name] = output._version
        if len(self._recorded.outputs) == self._wanted:
            raise _AllRecorded(self._recorded)

    def __reduce__(self) -> tuple[type["_Record"], tuple[()]]:
        return _Record, ()


@contextmanager
def record_features(
    layers: dict[str, nn.Module], early_exit: bool = False, owner: str = "the network"
) -> Iterator[RecordedFeatures]:
    """Record what layers put out while the block runs; the hooks are gone after it, whatever happens in it.

    Args:
        layers: The layers by name, as `find_layers` returns them.
        early_exit: Whether the block is left as soon as every layer has run, and what follows in it is skipped.
        owner: What to call the network in error messages.

    Yields:
        The outputs by name. Where a layer runs repeatedly, it is the last output with gradient, if any has one.

    Example:
        >>> import torch
        >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 2, 1))
        >>> with record_features(find_layers(network, ["1"]), early_exit=True) as features:
        ...     _ = network(torch.zeros(1, 3, 16, 16))  # the last convolution does not run
        >>> features["1"].shape
        torch.Size([1, 8, 14, 14])
    """
    recorded = RecordedFeatures(owner)
    wanted = len(layers) if early_exit else None
    handles = [layer.register_forward_hook(_Record(name, recorded, wanted)) for name, layer in layers.items()]
    try:
        yield recorded
    except _AllRecorded as raised:
        if raised.recorded is not recorded:
            raise
    finally:
        for handle in handles:
            handle.remove()


def depends_on(result: Tensor, features: Iterable[Tensor]) -> bool:
    """Tell whether a tensor was computed from one of the features, by walking through its autograd graph.

    Args:
        result: A loss, say.
        features: Outputs of layers.

    Returns:
        Whether the gradient of `result` would reach one of them.

    Example:
        >>> import torch
        >>> inner = torch.ones(2, requires_grad=True) * 2
        >>> depends_on(inner.sum(), [inner]), depends_on(inner.detach().sum(), [inner])
        (True, False)
    """
    wanted = {getattr(feature, "grad_fn", None) for feature in features} - {None}
    seen: set[Any] = set()
    stack: list[Any] = [result.grad_fn]
    while stack:
        node = stack.pop()
        if node in wanted:
            return True
        if node is not None and node not in seen:
            seen.add(node)
            stack += [parent for parent, _ in node.next_functions]
    return False


def _carries_gradient(output: Any) -> bool:
    return isinstance(output, Tensor) and output.requires_grad


def _named_layers(network: nn.Module) -> dict[str, nn.Module]:
    layers: dict[str, nn.Module] = {}
    for name, layer in network.named_modules():
        layers.setdefault(_WRAPPERS.sub("", name).lstrip("."), layer)
    layers.pop("", None)
    return layers


def _stages(network: nn.Module, owner: str) -> dict[int, str]:
    numbered = [(name, match) for name in _named_layers(network) if (match := _STAGE.search(name))]
    depth = min((name.count(".") for name, _ in numbered), default=0)
    stages: dict[int, str] = {}
    for name, match in numbered:
        if name.count(".") == depth and stages.setdefault(int(match[1]), name) != name:
            raise LgadError(f"{owner} has two stages {match[1]}, {stages[int(match[1])]} and {name}: name the layers")
    if not stages:
        raise LgadError(f"{owner} has no layers named like 'stage2' or 'layer2' to pair by number: name the layers")
    return stages


def _matches(name: str, pattern: str) -> bool:
    parts, wanted = name.split("."), pattern.split(".")
    return len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))


def _near_matches(pattern: str, names: list[str]) -> str:
    last = pattern.split(".")[-1]
    near = [name for name in names if name.split(".")[-1] == last]
    near += [name for name in difflib.get_close_matches(pattern, names, n=5, cutoff=0.6) if name not in near]
    if near:
        return f"did you mean {', '.join(near[:5])}?"
    return f"its outermost layers are {', '.join(name for name in names if '.' not in name) or 'none'}"
