from copy import deepcopy
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor, nn

from lgad_lightning.callbacks.frozen_teacher import FrozenTeacher, fold_batch_norm, working_copy


class Block(nn.Module):
    """Convolution and batch norm, registered in another order than they run, and something behind them."""

    def __init__(self, skip: bool = False) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(4)
        self.conv = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.skip = skip

    def forward(self, x: Tensor) -> Tensor:
        inner = self.conv(x)
        normed = self.norm(inner)
        return torch.relu(normed + inner if self.skip else normed)


class Network(nn.Module):
    def __init__(self, skip: bool = False) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.ConvTranspose2d(3, 4, 2, 2), nn.BatchNorm2d(4))
        self.stage1 = Block()
        self.stage2 = Block(skip)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Conv2d(4, 2, 1)
        self.reached_head = False

    def forward(self, x: Tensor) -> Tensor:
        x = self.dropout(self.stage2(self.stage1(self.stem(x))))
        self.reached_head = True
        return self.head(x)


@pytest.fixture
def image() -> Tensor:
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def trained(skip: bool = False) -> Network:
    torch.manual_seed(0)
    network = Network(skip)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                nn.init.uniform_(tensor, 0.5, 2)
    return network.eval()


def explicit(network: Network, image: Tensor) -> list[Tensor]:
    with torch.no_grad():
        first = network.stage1(network.stem(image))
        return [first, network.stage2(first)]


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def test_features_without_the_rest_of_the_network(image: Tensor):
    network = trained()
    wanted = explicit(network, image)
    copied = deepcopy(network).train()
    teacher = FrozenTeacher(copied, ["stage1", "stage2", "stage1"])
    for _ in range(2):
        teacher._network.reached_head = False  # only the first pass looks at the whole network
        first, second, again = teacher(image)
        assert torch.allclose(first, wanted[0], atol=1e-5)
        assert torch.allclose(second, wanted[1], atol=1e-5)
        assert again is first
        assert not first.requires_grad
    assert not teacher._network.reached_head
    assert norms(teacher._network) == 0


def test_folding_leaves_the_original_alone(image: Tensor):
    network = trained()
    state = deepcopy(network.state_dict())
    folded = fold_batch_norm(network, ["stage2"], image)
    assert norms(folded) == 0
    assert norms(network) == 3
    assert all(torch.equal(state[key], value) for key, value in network.state_dict().items())


def test_networks_that_cannot_be_folded_stay_unchanged(image: Tensor):
    skipping = trained(skip=True)  # the convolution's output is used twice
    assert fold_batch_norm(skipping, ["stage2"], image) is skipping
    shared = trained()
    shared.stage2.norm = shared.stage1.norm
    assert norms(fold_batch_norm(shared, ["stage2"], image)) == 1
    wanted = trained()
    kept = fold_batch_norm(wanted, ["stage1.conv", "stage2"], image)
    assert isinstance(kept.stage1.norm, nn.BatchNorm2d)
    assert isinstance(kept.stage2.norm, nn.Identity)
    half = trained().bfloat16()
    assert fold_batch_norm(half, ["stage2"], image.bfloat16()) is half


def test_bf16(image: Tensor):
    wanted = explicit(trained(), image)
    features = FrozenTeacher(trained(), ["stage1", "stage2"], autocast=torch.bfloat16)(image)
    assert all(f.dtype == torch.bfloat16 for f in features)
    assert all((f - w).norm() / w.norm() < 0.02 for f, w in zip(features, wanted, strict=True))


def test_inputs_of_another_precision(image: Tensor):
    wanted = explicit(trained(), image)
    features = FrozenTeacher(trained(), ["stage2"])(image.double())
    assert torch.allclose(features[0], wanted[1], atol=1e-5)


def test_random_numbers_of_the_student_stay_the_same(image: Tensor):
    teacher = FrozenTeacher(trained(), ["stage2"])
    torch.manual_seed(3)
    wanted = torch.rand(2)
    torch.manual_seed(3)
    teacher(image)
    assert torch.equal(torch.rand(2), wanted)


def test_a_layer_that_runs_twice_gives_its_last_output(image: Tensor):
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU()
            self.head = nn.Linear(1, 1)  # fails, but behind the wanted layer

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.relu(self.relu(x) - 0.5))

    teacher = FrozenTeacher(Shared(), ["relu"])
    for _ in range(2):
        assert torch.equal(teacher(image)[0], torch.relu(torch.relu(image) - 0.5))


@pytest.mark.slow
def test_compiled(image: Tensor):
    torch.compiler.reset()
    wanted = explicit(trained(), image)
    teacher = FrozenTeacher(trained(), ["stage1", "stage2"], compiled=True)
    for _ in range(2):
        teacher._network.reached_head = False
        features = teacher(image)
        assert all(torch.allclose(f, w, atol=1e-4) for f, w in zip(features, wanted, strict=True))
    assert not teacher._network.reached_head


def test_parametrised_convolutions_are_not_folded(image: Tensor):
    network = trained()
    nn.utils.parametrizations.weight_norm(network.stage1.conv)
    wanted = explicit(network, image)
    found = FrozenTeacher(deepcopy(network), ["stage1", "stage2"])(image)
    for ours, its in zip(found, wanted, strict=True):
        assert torch.allclose(ours, its, atol=1e-5)


class Viewing(Network):
    """Its `view` needs channels-first memory, and it keeps a result."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.stage1(self.stem(x))
        self.kept = x.view(x.size(0), -1)
        return self.head(self.stage2(x))


def test_a_network_that_views_its_memory_keeps_it(image: Tensor):
    network = Viewing().eval()
    wanted = explicit(network, image)[1]
    (found,) = FrozenTeacher(network, ["stage2"])(image)
    assert torch.allclose(found, wanted, atol=1e-5)


def test_a_teacher_that_keeps_a_result_of_its_training_is_copied(image: Tensor):
    network = Viewing()
    network(image).sum().backward()
    copy = working_copy(network, ["stage2"], L.LightningModule(), bf16=False, compiled=False, layout=None)
    assert copy(image)[0].shape == (2, 4, 16, 16)
    assert network.kept.requires_grad


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_a_network_of_another_precision_may_view_its_memory(image: Tensor, dtype: torch.dtype):
    (found,) = FrozenTeacher(Viewing().to(dtype).eval(), ["stage2"])(image)
    assert found.dtype == dtype


class Inferring(Network):
    @torch.inference_mode()
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)


def test_features_of_inference_mode_can_be_used_in_a_loss(image: Tensor):
    (features,) = FrozenTeacher(Inferring(), ["stage2"])(image)
    weight = torch.ones((), requires_grad=True)
    (weight * features).sum().backward()
    assert weight.grad is not None


@pytest.mark.parametrize("error", [ValueError, torch.OutOfMemoryError])
def test_the_error_of_a_teacher_is_not_hidden(image: Tensor, error: type[Exception]):
    class Failing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)

        def forward(self, image: Tensor) -> Tensor:
            features = self.first(image)
            raise error(f"not {len(features)} images")

    with pytest.raises(error, match="not 2 images"):
        FrozenTeacher(Failing(), ["first", "second"])(image[:2])


def test_a_teacher_that_keeps_lists_of_results_is_copied(image: Tensor):
    class Keeping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 4, 1)

        def forward(self, image: Tensor) -> Tensor:
            self.seen = {"layers": [self.layer(image)]}
            return self.seen["layers"][0]

    network = Keeping()
    network(image).sum().backward()
    student: Any = L.LightningModule()
    (features,) = working_copy(network, ["layer"], student, False, False, None)(image)
    assert torch.allclose(features, network.layer(image), atol=1e-6)
