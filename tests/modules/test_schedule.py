import pytest
import torch
from torch.optim.lr_scheduler import PolynomialLR

from lgad_lightning.modules import PolyLR, poly_factor


def optimizer(lr: float = 1.0) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)


def rates(schedule: torch.optim.lr_scheduler.LRScheduler, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(schedule.get_last_lr()[0])
        schedule.optimizer.step()
        schedule.step()
    return found


def test_without_warmup_it_is_torchs_polynomial_schedule() -> None:
    ours = rates(PolyLR(optimizer(0.2), total_steps=20, power=0.9), 20)
    theirs = rates(PolynomialLR(optimizer(0.2), total_iters=20, power=0.9), 20)
    assert ours == pytest.approx(theirs)


def test_warmup_rises_linearly_to_the_full_rate() -> None:
    assert rates(PolyLR(optimizer(), total_steps=100, warmup_steps=4), 5) == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])


def test_factor_stays_at_zero_after_the_end() -> None:
    assert poly_factor(10, total_steps=10) == 0
    assert poly_factor(15, total_steps=10) == 0


def test_resuming_with_another_length_follows_the_new_length() -> None:
    schedule = PolyLR(optimizer(), total_steps=10, power=1.0)
    rates(schedule, 5)
    longer = PolyLR(optimizer(), total_steps=20, power=1.0)
    longer.load_state_dict(schedule.state_dict())
    longer.optimizer.step()
    longer.step()
    assert longer.get_last_lr()[0] == pytest.approx(1 - 6 / 20)
