"""Records the outputs of named layers of a network during a `with` block."""

import difflib
import fnmatch
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from lgad_lightning.errors import LgadError
from lgad_lightning.internals import unwrapped, version_of

# Names that torch.compile, activation checkpointing and FSDP put between a module and the one they wrap.
_WRAPPERS = re.compile(r"(^|\.)(_orig_mod|_checkpoint_wrapped_module|_fsdp_wrapped_module)(?=\.|$)")


class _AllRecorded(BaseException):
    """Leaves a forward pass early. An `except Exception` in a network must not catch it."""

    def __init__(self, recorded: "RecordedFeatures") -> None:
        self.recorded = recorded


def named_layers(network: nn.Module) -> dict[str, nn.Module]:
    """List all layers of a network. The empty name is the network itself.

    Args:
        network: The network.

    Returns:
        The layers by name, in the order of the definition of the network.

    Example:
        >>> list(named_layers(nn.Sequential(nn.ReLU())))
        ['', '0']
    """
    layers: dict[str, nn.Module] = {}
    for name, layer in unwrapped(network).named_modules():
        layers.setdefault(_WRAPPERS.sub("", name).lstrip("."), layer)
    return layers


def layer_names(network: nn.Module, patterns: Sequence[str], owner: str = "the network") -> list[str]:
    """Find the names of layers by patterns.

    Args:
        network: The network with the layers.
        patterns: Names as in `named_modules`, without the parts that wrappers such as `torch.compile` and Fabric add.
            `*` and `?` match within one part of a name: `encoder.stage*` finds `encoder.stage1`, but not the layers in
            it. The empty name is the network itself, with its whole output.
        owner: The name of the network in messages.

    Returns:
        The names in the order of `patterns`. The matches of one pattern are in the order of the network's definition.

    Raises:
        LgadError: If a pattern matches no layer. The message lists similar names.

    Example:
        >>> network = nn.ModuleDict({"stage1": nn.Identity(), "stage2": nn.Sequential(nn.ReLU())})
        >>> layer_names(network, ["stage*"])
        ['stage1', 'stage2']
    """
    layers = named_layers(network)
    names = [name for name in layers if name]
    patterns = [patterns] if isinstance(patterns, str) else patterns  # otherwise, each letter would be a name
    found: list[str] = []
    for pattern in patterns:
        matches = [pattern] if pattern in layers else [name for name in names if _matches(name, pattern)]
        matches = matches or _other_name(network, pattern, layers)
        if not matches:
            raise LgadError(f"no layer of {owner} is named {pattern!r}; {_near_matches(pattern, names)}")
        found += matches
    return found


def find_layers(network: nn.Module, patterns: Sequence[str], owner: str = "the network") -> dict[str, nn.Module]:
    """Find layers by name; see `layer_names`.

    Args:
        network: The network with the layers.
        patterns: Names or patterns.
        owner: The name of the network in messages.

    Returns:
        The layers by name.

    Raises:
        LgadError: If a pattern matches no layer. The message lists similar names.

    Example:
        >>> find_layers(nn.Sequential(nn.ReLU(), nn.Sigmoid()), ["1"])
        {'1': Sigmoid()}
    """
    layers = named_layers(network)
    return {name: layers[name] for name in layer_names(network, patterns, owner)}


class RecordedFeatures:
    """The outputs of layers by name. They are filled in while the block of `record_features` runs.

    Args:
        owner: The name of the network in messages.

    Attributes:
        outputs: The last output of each layer, with gradient if there was one.
        trained: How many outputs with gradient each layer has had.
    """

    def __init__(self, owner: str = "the network") -> None:
        self.outputs: dict[str, Any] = {}
        self.versions: dict[str, int] = {}
        self.trained: Counter[str] = Counter()
        self.calls = 0
        self._owner = owner

    def clear(self) -> None:
        """Forgets the outputs."""
        self.outputs.clear()
        self.trained.clear()

    def __getitem__(self, name: str) -> Any:
        """Returns the output of a layer."""
        return self.outputs[name]

    def maps(self, names: Sequence[str]) -> list[Tensor]:
        """Check the outputs, and return them in order.

        Args:
            names: The wanted layers.

        Returns:
            One tensor for each of the names, `(B, C, H, W)`, `(B, H, W, C)` or tokens `(B, N, C)`.

        Raises:
            LgadError: If a layer did not run, if its output is not a tensor of this shape, or if a later layer changed
                the output in place. The message names the layer.
        """
        return [self._map(name) for name in names]

    def _map(self, name: str) -> Tensor:
        layer = f"layer {name!r} of {self._owner}"
        if name not in self.outputs:
            raise LgadError(f"{layer} did not run: name a layer that the forward pass calls")
        output = self.outputs[name]
        if not isinstance(output, Tensor):
            raise LgadError(f"the output of {layer} is a {type(output).__name__}, not a tensor (B, C, H, W)")
        if output.ndim not in (3, 4):
            raise LgadError(f"the output of {layer} is a tensor of shape {tuple(output.shape)}, not (B, C, H, W)")
        if version_of(output) != self.versions[name]:
            raise LgadError(
                f"the output of {layer} is changed in place by the layer after it, for example nn.ReLU(inplace=True): "
                "name that layer, or set inplace=False"
            )
        return output


class _Record:
    """A forward hook that does nothing in a copy of the network."""

    def __init__(self, name: str = "", recorded: RecordedFeatures | None = None, last_call: int | None = None) -> None:
        self._name = name
        self._recorded = recorded
        self._last_call = last_call

    def __call__(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if self._recorded is None:
            return
        self._recorded.calls += 1
        output = tensor_of(output)
        if _carries_gradient(self._recorded.outputs.get(self._name)) and not _carries_gradient(output):
            return  # it ran again, for example for a metric; the other output is trained
        self._recorded.outputs[self._name] = output
        self._recorded.trained[self._name] += _carries_gradient(output)
        if isinstance(output, Tensor):
            self._recorded.versions[self._name] = version_of(output)
        if self._recorded.calls == self._last_call:
            raise _AllRecorded(self._recorded)

    def __reduce__(self) -> tuple[type["_Record"], tuple[()]]:
        return _Record, ()


@contextmanager
def record_features(
    layers: dict[str, nn.Module], last_call: int | None = None, owner: str = "the network"
) -> Iterator[RecordedFeatures]:
    """Record the outputs of layers while the block runs. The hooks are always removed at its end.

    Args:
        layers: The layers by name, as `find_layers` returns them.
        last_call: The number of calls of the layers after which the block is left. The rest of it is skipped.
        owner: The name of the network in messages.

    Yields:
        The outputs by name. If a layer runs several times, the last output with gradient is kept, if there is one.

    Example:
        >>> import torch
        >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 2, 1))
        >>> with record_features(find_layers(network, ["1"]), last_call=1) as features:
        ...     _ = network(torch.zeros(1, 3, 16, 16))  # the last convolution does not run
        >>> features["1"].shape
        torch.Size([1, 8, 14, 14])
    """
    recorded = RecordedFeatures(owner)
    handles = [layer.register_forward_hook(_Record(name, recorded, last_call)) for name, layer in layers.items()]
    try:
        yield recorded
    except _AllRecorded as raised:
        if raised.recorded is not recorded:
            raise
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode during a `with` block. Then restore the mode of each layer.

    Args:
        network: The network.

    Example:
        >>> network = nn.Sequential(nn.Dropout())
        >>> with evaluating(network):
        ...     assert not network[0].training
        >>> network[0].training
        True
    """
    was_training = {layer: layer.training for layer in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for layer, training in was_training.items():
            layer.training = training


def depends_on(result: Tensor, features: Iterable[Tensor]) -> bool:
    """Check whether a tensor was computed from one of the features. This walks through its autograd graph.

    Args:
        result: A tensor, for example a loss.
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


def tensor_of(output: Any) -> Any:
    """Find the tensor in the output of a layer or of a network.

    Args:
        output: Any output.

    Returns:
        The tensor in an output such as `(x,)`, an object or a mapping with `logits`, or a mapping with `out`. If there
        is none, the output itself.

    Example:
        >>> import torch
        >>> tensor_of({"out": torch.zeros(2)})
        tensor([0., 0.])
    """
    if isinstance(output, tuple) and len(output) == 1:
        return output[0]
    candidates = [getattr(output, "logits", None)]
    if isinstance(output, Mapping):
        candidates += [output.get(key) for key in ("logits", "out", "last_hidden_state")]
    return next((candidate for candidate in candidates if isinstance(candidate, Tensor)), output)


def _carries_gradient(output: Any) -> bool:
    return isinstance(output, Tensor) and output.requires_grad


def _matches(name: str, pattern: str) -> bool:
    parts, wanted = name.split("."), pattern.split(".")
    return len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))


def _other_name(network: nn.Module, name: str, layers: dict[str, nn.Module]) -> list[str]:
    """The usual name of a layer that has several names."""
    every = unwrapped(network).named_modules(remove_duplicate=False)
    wanted = next((layer for other, layer in every if _WRAPPERS.sub("", other).lstrip(".") == name), None)
    return [usual for usual, layer in layers.items() if layer is wanted][:1]


def _near_matches(pattern: str, names: list[str]) -> str:
    last = pattern.split(".")[-1]
    near = [name for name in names if name.split(".")[-1] == last]
    near += [name for name in difflib.get_close_matches(pattern, names, n=5, cutoff=0.6) if name not in near]
    if near:
        return f"did you mean {', '.join(near[:5])}?"
    return f"its outermost layers are {', '.join(name for name in names if '.' not in name) or 'none'}"
