import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lgad_lightning.attention import (
    attention_agreement,
    attention_distance,
    attention_map,
    attention_perplexity,
    normalise_attention,
    resize_attention,
)
from lgad_lightning.errors import LgadError

NORMALISATIONS = ["l2", "l1", "softmax", "zscore"]


@st.composite
def maps(draw: st.DrawFn) -> Tensor:
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(2, 6)))
    seed = draw(st.integers(0, 2**31))
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 3 + 0.01


@pytest.mark.parametrize("power", [1.0, 2.0, 3.5])
def test_map_is_the_sum_or_the_maximum_over_channels(power: float):
    features = torch.randn(2, 5, 3, 4)
    magnitude = np.abs(features.numpy()) ** power
    assert np.allclose(attention_map(features, power), magnitude.sum(1), rtol=1e-5)
    assert np.allclose(attention_map(features, power, "max"), magnitude.max(1), rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_map_of_half_precision_does_not_overflow(dtype: torch.dtype):
    features = torch.full((1, 128, 2, 2), 300.0, dtype=dtype)
    assert torch.allclose(attention_map(features), torch.full((1, 2, 2), 128 * 300.0**2), rtol=0.02)


@given(maps())
@settings(max_examples=30, deadline=None)
def test_normalised_maps(attention: Tensor):
    for normalisation in NORMALISATIONS:
        normalised = normalise_attention(attention, normalisation)
        norm = normalised.flatten(1).norm(dim=1) if normalisation == "l2" else normalised.flatten(1).sum(1)
        assert torch.allclose(norm, torch.ones_like(norm))
        assert (normalised >= 0).all()


@given(maps(), st.floats(0.01, 100))
@settings(max_examples=30, deadline=None)
def test_only_the_literal_softmax_depends_on_the_scale(attention: Tensor, factor: float):
    for normalisation in ("l2", "l1", "zscore"):
        same = normalise_attention(attention, normalisation), normalise_attention(factor * attention, normalisation)
        assert torch.allclose(*same, atol=1e-6)


def test_temperature_flattens():
    attention = torch.rand(1, 4, 4)
    spreads = [
        [attention_perplexity(normalise_attention(attention, normalisation, t)).item() for t in (0.1, 1.0, 10.0)]
        for normalisation in ("softmax", "zscore")
    ]
    assert all(spread == sorted(spread) for spread in spreads)


def test_literal_form_saturates_where_the_others_do_not():
    attention = attention_map(torch.randn(1, 128, 36, 100, generator=torch.Generator().manual_seed(0)) * 4)
    spread = {n: attention_perplexity(normalise_attention(attention, n)).item() for n in NORMALISATIONS}
    assert spread["softmax"] < 1.5
    assert min(spread["l2"], spread["l1"], spread["zscore"]) > 1000


@given(maps())
@settings(max_examples=30, deadline=None)
def test_distances_by_hand(student: Tensor):
    teacher = student.flip(1, 2).contiguous().roll(1, 2)
    for normalisation in NORMALISATIONS:
        s, t = (normalise_attention(m, normalisation).flatten(1).numpy() for m in (student, teacher))
        squared = ((s - t) ** 2).sum(1).mean()
        assert attention_distance(student, teacher, normalisation).item() == pytest.approx(squared)
        assert attention_distance(student, student, normalisation).item() == pytest.approx(0)
        if normalisation != "l2":
            divergence = (t * np.log(t / s)).sum(1).mean()
            found = attention_distance(student, teacher, normalisation, "kl").item()
            assert found == pytest.approx(divergence, abs=1e-9)


def test_maps_are_compared_at_the_smaller_size_or_the_one_asked_for():
    student, teacher = torch.rand(2, 8, 16, requires_grad=True), torch.rand(2, 4, 8)
    pooled = torch.nn.functional.interpolate(student[:, None], (4, 8), mode="bilinear", antialias=True)[:, 0]
    assert torch.equal(attention_distance(student, teacher), attention_distance(pooled, teacher))
    large = attention_distance(student, teacher, size=(8, 16))
    assert torch.equal(large, attention_distance(student, resize_attention(teacher, (8, 16))))
    large.backward()
    assert student.grad is not None


@pytest.mark.parametrize(
    ("normalisation", "distance"),
    [(n, d) for n in NORMALISATIONS for d in ("squared", "kl") if (n, d) != ("l2", "kl")],
)
def test_gradient_is_finite_where_nothing_is_active(normalisation: str, distance: str):
    features = torch.zeros(1, 3, 4, 4, requires_grad=True)
    attention_distance(attention_map(features), torch.rand(1, 4, 4), normalisation, distance).backward()
    assert torch.isfinite(features.grad).all()


def test_forms_that_do_not_exist():
    attention = torch.rand(1, 2, 2)
    with pytest.raises(LgadError, match="'kl' compares distributions"):
        attention_distance(attention, attention, "l2", "kl")
    with pytest.raises(LgadError, match="'l3'"):
        attention_distance(attention, attention, "l3")  # type: ignore[arg-type]
    with pytest.raises(LgadError, match="'cosine'"):
        attention_distance(attention, attention, distance="cosine")  # type: ignore[arg-type]
    with pytest.raises(LgadError, match=r"power must be at least 1, not 0\.5"):
        attention_map(attention[None], power=0.5)
    with pytest.raises(LgadError, match="'mean'"):
        attention_map(attention[None], reduction="mean")  # type: ignore[arg-type]


def test_perplexity_counts_cells():
    one, half = torch.zeros(1, 2, 4), torch.zeros(1, 2, 4)
    one[0, 1, 2] = 5
    half[0, 0] = 0.25
    assert attention_perplexity(torch.cat([one, half, 0 * one])).tolist() == pytest.approx([1, 4, 8])


def test_agreement_is_pearsons_correlation():
    student, teacher = torch.rand(1, 3, 5), torch.rand(1, 3, 5)
    wanted = np.corrcoef(student.flatten(), teacher.flatten())[0, 1]
    assert attention_agreement(student, teacher).item() == pytest.approx(wanted, abs=1e-5)
    assert attention_agreement(student, torch.ones(1, 3, 5)).item() == 0
    assert not math.isnan(attention_agreement(torch.zeros(1, 3, 5), teacher).item())


def test_a_map_of_one_cell_is_standardised():
    assert normalise_attention(torch.tensor([[[3.0]]]), "zscore").tolist() == [[[1.0]]]


def test_an_even_map_has_no_steep_gradient():
    """What is left of it after the mean is rounding."""
    even = torch.full((1, 4, 8), 0.5).requires_grad_()
    loss = attention_distance(even * torch.ones(1, 4, 8), torch.rand(1, 4, 8), "zscore")
    loss.backward()
    assert even.grad is not None
    assert even.grad.abs().max() < 1e3
