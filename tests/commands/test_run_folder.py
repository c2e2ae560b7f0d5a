from pathlib import Path

import pytest
from omegaconf import OmegaConf

from lgad_lightning.commands.run_folder import save_configuration


def test_what_the_environment_has_changed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "data.txt").write_text("roads")
    cfg = OmegaConf.create(
        {
            "run_dir": str(tmp_path),
            "seed": "${oc.decode:${oc.env:MY_SEED}}",
            "lr": "${oc.env:MY_RATE}",
            "last": "${run_dir}/last.ckpt",
        }
    )
    monkeypatch.setenv("MY_RATE", "0.1")
    monkeypatch.setenv("MY_SEED", "3")
    moved = OmegaConf.create({"run_dir": "/elsewhere", "seed": 3, "lr": "0.1", "last": "/elsewhere/last.ckpt"})
    OmegaConf.save(moved, tmp_path / "config.yaml")
    save_configuration(cfg, "roads")
    assert caplog.messages == []
    monkeypatch.setenv("MY_SEED", "4")
    save_configuration(cfg, "roads")
    assert [text for text in caplog.messages if "seed has changed from 3 to 4" in text] == caplog.messages != []
