"""Examples in docstrings; pytest runs them where they stand."""

import pytest

import lgad_lightning


@pytest.mark.parametrize("name", [name for name in lgad_lightning.__all__ if name != "LgadError"])
def test_every_public_name_has_an_example(name: str) -> None:
    assert ">>> " in (getattr(lgad_lightning, name).__doc__ or "")
