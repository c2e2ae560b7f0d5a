import logging
from pathlib import Path

import pytest

from lgad_lightning.commands.loggers import has_wandb_key, wandb_logger


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def test_without_a_key_wandb_stays_offline_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="lgad_lightning"):
        logger = wandb_logger(tmp_path / "wandb")
    assert logger._offline
    assert caplog.text.count("offline") == 1


def test_with_a_key_wandb_is_online(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert not wandb_logger(tmp_path)._offline


def test_a_key_in_the_netrc_file_counts_for_its_host_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine wandb.example.org login user password secret\n")
    assert not has_wandb_key()
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    assert has_wandb_key()
