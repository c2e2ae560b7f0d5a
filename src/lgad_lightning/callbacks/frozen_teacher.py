"""Runs a frozen teacher, and only as far as its wanted layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from copy import deepcopy
from typing import Any
from weakref import ref

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.nn.utils.parametrize import is_parametrized

from lgad_lightning.errors import LgadError
from lgad_lightning.feature_layout import Layout, channels_first, size_of_inputs
from lgad_lightning.features import find_layers, record_features

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_Convolution = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *_TRANSPOSED)
_BatchNorm = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class FrozenTeacher:
    """Runs a network in evaluation mode without gradients, up to the last wanted layer.

    Args:
        network: The network. It is changed (channels-last memory, frozen), so pass a copy if you still need it.
        layers: Names of the layers whose outputs are wanted.
        autocast: The type for autocast. By default, the autocast that is active is used.
        compiled: Whether to run it through `torch.compile`.
        layout: The layout of the wanted features. By default, it is found by the size of the input.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 2, 1))
        >>> teacher = FrozenTeacher(network, ["2"])
        >>> [features.shape for features in teacher(torch.zeros(1, 3, 16, 16))]
        [torch.Size([1, 8, 14, 14])]
    """

    def __init__(
        self,
        network: nn.Module,
        layers: Sequence[str],
        autocast: torch.dtype | None = None,
        compiled: bool = False,
        layout: Layout | None = None,
    ) -> None:
        self._names = list(layers)
        self._network = network.eval().requires_grad_(False)
        self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._layers: dict[str, nn.Module] | None = None
        self._calls = 0
        self._autocast = autocast
        self._compiled = compiled
        self._layout = layout

    def __call__(self, *inputs: Any) -> list[Tensor]:
        """Run the network as far as needed.

        Args:
            *inputs: The arguments of the network. Floating-point tensors are converted to the type of its parameters.

        Returns:
            The wanted features, `(B, C, H, W)` each, in the order of `layers`.
        """
        dtype = next((parameter.dtype for parameter in self._network.parameters()), torch.float32)
        inputs = tuple(x.to(dtype) if isinstance(x, Tensor) and x.is_floating_point() else x for x in inputs)
        with torch.no_grad():
            if self._layers is None:
                self._layers = self._prepare(*inputs)
            with record_features(self._layers, self._calls, "the teacher") as features, self._precision():
                self._network(*inputs)
        size, layers = size_of_inputs(inputs), self._layers
        outputs = features.maps(self._names)
        usable = [one.clone() if one.is_inference() else one for one in outputs]  # a loss keeps them for its gradient
        return [
            channels_first(output, size, layers[name], f"layer {name!r} of the teacher", self._layout)
            for name, output in zip(self._names, usable, strict=True)
        ]

    def _prepare(self, *inputs: Any) -> dict[str, nn.Module]:
        try:
            layers = self._try(*inputs)
        except RuntimeError:  # `view` in a network may need its usual memory
            self._network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
            layers = self._try_again(*inputs)
        if self._compiled:
            self._network.compile()
        return layers

    def _try_again(self, *inputs: Any) -> dict[str, nn.Module]:
        try:
            return self._try(*inputs)
        except RuntimeError as error:
            raw = [x.dtype for x in inputs if isinstance(x, Tensor) and x.ndim == 4 and not x.is_floating_point()]
            if not raw or isinstance(error, torch.OutOfMemoryError):
                raise
            kind = str(raw[0]).removeprefix("torch.")
            raise LgadError(
                f"the teacher cannot use images of {kind}, as they are in the batch ({error}): convert them before the"
                " step, in on_after_batch_transfer, or override teacher_inputs"
            ) from error

    def _try(self, *inputs: Any) -> dict[str, nn.Module]:
        network = fold_batch_norm(self._network, self._names, *inputs)
        layers = find_layers(network, self._names, "the teacher")
        with self._precision(), torch.compiler.set_stance("force_eager"):
            self._calls = _count_calls(network, layers, inputs)
            with record_features(layers, self._calls, "the teacher"):
                network(*inputs)
        self._network = network
        return layers

    def _precision(self) -> AbstractContextManager[Any]:
        return nullcontext() if self._autocast is None else torch.autocast(_device(self._network), self._autocast)


def working_copy(
    teacher: nn.Module,
    layers: Sequence[str],
    student: L.LightningModule,
    bf16: bool,
    compiled: bool,
    layout: Layout | None,
) -> FrozenTeacher:
    """Make the copy of a teacher that is used during a fit.

    If the trainer uses true half precision, the copy stays in float32 and runs under autocast. A converted teacher
    could fail: it may turn labels into float32 planes.

    Args:
        teacher: The teacher. It is not changed.
        layers: See `FrozenTeacher`.
        student: The student.
        bf16: Whether the copy runs in bfloat16 in any case.
        compiled: See `FrozenTeacher`.
        layout: See `FrozenTeacher`.

    Returns:
        The copy, on the student's device.
    """
    copy = _copied(teacher).to(student.device)
    half = student.dtype if student.dtype in (torch.float16, torch.bfloat16) else None
    return FrozenTeacher(copy, layers, torch.bfloat16 if bf16 else half, compiled, layout)


def fold_batch_norm(network: nn.Module, layers: Sequence[str], *inputs: Any) -> nn.Module:
    """Fold each batch norm that directly follows a convolution into the convolution.

    A run on `inputs` shows which batch norm follows which convolution. Then the wanted features of the folded network
    are compared with those of the original. If they differ, the original is returned.

    Args:
        network: A float32 network in evaluation mode. Others are returned unchanged.
        layers: Names of the layers whose features are wanted. None of them is folded away.
        *inputs: The arguments of the network.

    Returns:
        A folded copy, or `network` itself if folding is not possible.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()).eval()
        >>> fold_batch_norm(network, ["2"], torch.rand(1, 3, 8, 8))[1]
        Identity()
    """
    if any(parameter.dtype != torch.float32 for parameter in network.parameters()):
        return network
    wanted = find_layers(network, layers, "the teacher")
    names = {module: name for name, module in network.named_modules()}
    with torch.autocast(_device(network), enabled=False), torch.no_grad():
        calls = _count_calls(network, wanted, inputs)
        pairs, before = _watch(network, wanted, calls, inputs)
        folded = deepcopy(network)
        for convolution, norm in pairs:
            fused = fuse_conv_bn_eval(convolution, norm, isinstance(convolution, _TRANSPOSED))
            folded.set_submodule(names[convolution], fused)
            folded.set_submodule(names[norm], nn.Identity())
        _, after = _watch(folded, find_layers(folded, layers, "the teacher"), calls, inputs)
    same = all((a - b).abs().max() <= 1e-3 * b.abs().max() for a, b in zip(after, before, strict=True))
    return folded if same else network


def _count_calls(network: nn.Module, wanted: dict[str, nn.Module], inputs: Sequence[Any]) -> int:
    """Count the calls of the layers in a whole pass: a layer may run more than once, and its last output is wanted."""
    with record_features(wanted) as features, torch.compiler.set_stance("force_eager"):
        try:
            network(*inputs)
        except Exception as error:  # behind the last wanted layer, it does not matter
            if len(features.outputs) < len(wanted) or isinstance(error, torch.OutOfMemoryError):
                raise
    return features.calls


def _watch(
    network: nn.Module, wanted: dict[str, nn.Module], last_call: int, inputs: Sequence[Any]
) -> tuple[list[tuple[Any, Any]], list[Tensor]]:
    """Run the network. Return the convolutions with the batch norms directly behind them, and the features."""
    calls: Counter[nn.Module] = Counter()
    outputs: dict[int, tuple[nn.Module, ref[Tensor]]] = {}
    pairs: list[tuple[Any, Any]] = []

    def after_convolution(module: nn.Module, args: Any, output: Tensor) -> None:
        calls[module] += 1
        outputs[id(output)] = module, ref(output)

    def before_norm(module: nn.Module, args: Any) -> None:
        calls[module] += 1
        convolution, output = outputs.get(id(args[0]), (None, None)) if args else (None, None)
        if output is not None and output() is args[0]:
            pairs.append((convolution, module))

    with ExitStack() as handles, record_features(wanted, last_call, "the teacher") as features:
        handles.enter_context(torch.compiler.set_stance("force_eager"))  # one run; torch 2.6 cannot compile the hooks
        for module in network.modules():
            if isinstance(module, _Convolution):
                handles.callback(module.register_forward_hook(after_convolution).remove)
            elif isinstance(module, _BatchNorm) and module.running_mean is not None:
                handles.callback(module.register_forward_pre_hook(before_norm).remove)
        network(*inputs)
    once = [(c, n) for c, n in pairs if calls[c] == calls[n] == 1 and c not in wanted.values()]
    plain = [(c, n) for c, n in once if not (is_parametrized(c) or is_parametrized(n))]
    return plain, features.maps(list(wanted))


def _copied(network: nn.Module) -> nn.Module:
    """A copy. Torch copies no results of computations: those that layers keep of their last pass are detached."""
    kept = [tensor for module in network.modules() for tensor in _tensors(list(vars(module).values()))]
    return deepcopy(network, {id(tensor): tensor.detach() for tensor in kept if not tensor.is_leaf})


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in nested lists, tuples and mappings."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from _tensors(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)


def _device(network: nn.Module) -> str:
    return next((parameter.device.type for parameter in network.parameters()), "cpu")
