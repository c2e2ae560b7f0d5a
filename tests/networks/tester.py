"""One tester for all lane networks: a test class inherits it and sets what differs."""

import copy
import io
import pickle
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from lgad_lightning.errors import LgadError
from lgad_lightning.feature_layout import channels_first
from lgad_lightning.networks import LaneNetwork, LaneOutput
from lgad_lightning.pairing import pair_layers

SIZE = (64, 96)


class NetworkTester:
    network_class: type[LaneNetwork]
    kwargs: ClassVar[dict[str, Any]] = {}
    strides: ClassVar[dict[str, int]] = {"stage1": 4, "stage2": 8, "stage3": 8}
    multiple: ClassVar[int] = 8

    def build(self, **kwargs: Any) -> LaneNetwork:
        torch.manual_seed(0)
        return self.network_class(**{"input_size": SIZE, **self.kwargs, **kwargs})

    def images(self, size: tuple[int, int] = SIZE, channels: int = 3) -> Tensor:
        return torch.rand(2, channels, *size, generator=torch.Generator().manual_seed(1))

    @pytest.mark.parametrize(("num_classes", "in_channels"), [(5, 3), (7, 7), (2, 1)])
    def test_output_shapes(self, num_classes: int, in_channels: int) -> None:
        output = self.build(num_classes=num_classes, in_channels=in_channels)(self.images(channels=in_channels))
        assert isinstance(output, LaneOutput)
        assert output.logits.shape == (2, num_classes, *SIZE)
        assert output.existence.shape == (2, num_classes - 1)

    @pytest.mark.parametrize("cells", [(2, 2), (5, 9), (9, 25)])
    def test_other_input_sizes_work(self, cells: tuple[int, int]) -> None:
        size = (cells[0] * self.multiple, cells[1] * self.multiple)
        output = self.build()(self.images(size))
        assert output.logits.shape[2:] == size
        assert output.existence.shape == (2, 4)

    def test_without_the_existence_head(self) -> None:
        assert self.build(existence=False)(self.images()).existence is None

    @pytest.mark.parametrize(
        ("cells", "more", "padded"),
        [((8, 12), (-4, 0), (8, 12)), ((8, 12), (0, 1), (8, 13)), ((4, 1), (1, 0), (5, 2)), ((1, 8), (0, 0), (2, 8))],
    )
    def test_a_wrong_size_is_refused_with_the_size_to_pad_to(
        self, cells: tuple[int, int], more: tuple[int, int], padded: tuple[int, int]
    ) -> None:
        network = self.build()
        size = (cells[0] * self.multiple + more[0], cells[1] * self.multiple + more[1])
        wanted = f"{padded[0] * self.multiple} x {padded[1] * self.multiple}"
        with pytest.raises(LgadError, match=wanted):
            network(self.images(size))
        with pytest.raises(LgadError, match=wanted):
            self.build(input_size=size)

    def test_wrong_channels_are_refused(self) -> None:
        with pytest.raises(LgadError, match=r"\(B, 3, H, W\) but got \(2, 5, 64, 96\)"):
            self.build()(self.images(channels=5))

    def test_evaluation_is_deterministic_and_training_is_not(self) -> None:
        network = self.build()
        once, again = network(self.images()), network(self.images())
        assert not torch.equal(
            torch.cat([once.logits.flatten(), once.existence.flatten()]),
            torch.cat([again.logits.flatten(), again.existence.flatten()]),
        )
        network.eval()
        before = copy.deepcopy(network.state_dict())
        torch.testing.assert_close(network(self.images()), network(self.images()), rtol=0, atol=0)
        for name, value in network.state_dict().items():
            assert torch.equal(value, before[name]), name

    def test_gradients_reach_every_trainable_parameter(self) -> None:
        network = self.build()
        output = network(self.images())
        (output.logits.square().mean() + output.existence.square().mean()).backward()
        for name, parameter in network.named_parameters():
            if parameter.requires_grad:
                assert parameter.grad is not None, name
                assert parameter.grad.isfinite().all(), name

    def test_copies_compute_the_same(self) -> None:
        network = self.build().eval()
        expected = network(self.images())
        file = io.BytesIO()
        torch.save(network.state_dict(), file)
        file.seek(0)
        torch.manual_seed(99)
        other = self.network_class(**{"input_size": SIZE, **self.kwargs})
        other.load_state_dict(torch.load(file, weights_only=True))
        for clone in (other.eval(), copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
            torch.testing.assert_close(clone(self.images()), expected, rtol=0, atol=0)

    def test_channels_last_computes_the_same(self) -> None:
        network = self.build().eval()
        expected = network(self.images())
        output = network.to(memory_format=torch.channels_last)(
            self.images().contiguous(memory_format=torch.channels_last)
        )
        torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-4)

    def test_bf16_autocast_is_finite(self) -> None:
        network = self.build()
        with torch.autocast("cpu", torch.bfloat16):
            output = network(self.images())
            loss = output.logits.float().square().mean() + output.existence.float().square().mean()
        loss.backward()
        assert loss.isfinite()
        assert all(p.grad.isfinite().all() for p in network.parameters() if p.requires_grad)

    def test_stages_are_named_feature_maps(self) -> None:
        network = self.build()
        stages = [f"encoder.{name}" for name in self.strides]
        assert pair_layers(network, None, network, None) == list(zip(stages, stages, strict=True))
        seen: dict[str, Tensor] = {}

        def record(name: str) -> Any:
            return lambda module, args, output: seen.__setitem__(name, output)

        for name in self.strides:
            network.get_submodule(f"encoder.{name}").register_forward_hook(record(name))
        network(self.images())
        for name, features in seen.items():
            layer = network.get_submodule(f"encoder.{name}")
            height, width = channels_first(features, SIZE, layer, name).shape[2:]
            assert SIZE[0] // height == SIZE[1] // width == self.strides[name], name
        assert seen.keys() == self.strides.keys()

    def test_no_stage_output_is_changed_afterwards(self) -> None:
        """An in-place operation behind a stage would change what a hook has recorded."""
        network = self.build()
        versions: list[tuple[Tensor, int]] = []
        for name in self.strides:
            network.get_submodule(f"encoder.{name}").register_forward_hook(
                lambda module, args, output: versions.append((output, output._version))
            )
        network(self.images())
        assert versions
        assert all(feature._version == version for feature, version in versions)


def count(module: nn.Module | None) -> int:
    assert module is not None
    return sum(parameter.numel() for parameter in module.parameters())
