import logging
import socket
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.callbacks import ModelCheckpoint

from lgad_lightning.commands import loggers
from lgad_lightning.commands.loggers import NeverFails, Wandb, has_wandb_key, is_reachable, wandb_logger


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setattr(loggers, "is_reachable", lambda address: True)


def test_without_a_key_wandb_stays_offline_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="lgad_lightning"):
        logger = wandb_logger(tmp_path / "wandb")
    assert logger._offline
    assert caplog.text.count("offline") == 1


def test_a_wandb_that_is_disabled_is_not_begun_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert not wandb_logger(tmp_path / "wandb")._offline


def test_with_a_key_wandb_is_online(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert not wandb_logger(tmp_path)._offline


def test_without_a_network_wandb_stays_offline(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    monkeypatch.setattr(loggers, "is_reachable", lambda address: address != "https://wandb.example.org")
    with caplog.at_level(logging.INFO, logger="lgad_lightning"):
        assert wandb_logger(tmp_path / "wandb")._offline
    assert caplog.text.count("wandb.example.org cannot be reached, so the run is kept offline") == 1


def test_a_run_that_cannot_be_begun_online_is_begun_offline(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wandb = pytest.importorskip("wandb")
    begun: list[str | None] = []

    def init(**settings: Any) -> str:
        begun.append(loggers.os.environ.get("WANDB_MODE"))
        if begun == [None]:
            raise wandb.errors.CommError("quota exceeded")
        return "offline run"

    monkeypatch.setattr(wandb, "init", init)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    logger = wandb_logger(tmp_path / "run" / "student")
    monkeypatch.setenv("WANDB_MODE", "unset")  # so that it is put back
    monkeypatch.delenv("WANDB_MODE")
    with caplog.at_level(logging.INFO, logger="lgad_lightning"):
        assert str(logger.experiment) == "offline run"
    assert begun == [None, "dryrun"]
    assert caplog.text.count("quota exceeded") == 1


def test_a_key_in_the_netrc_file_counts_for_its_host_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine wandb.example.org login user password secret\n")
    assert not has_wandb_key()
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    assert has_wandb_key()


def test_jobs_of_a_sweep_are_a_group(tmp_path: Path) -> None:
    job = tmp_path / "2026-11-28" / "10-00-00" / "3"
    assert wandb_logger(job / "student")._wandb_init["group"] is None
    (job.parent / "multirun.yaml").touch()
    assert wandb_logger(job / "student", job_type="student")._wandb_init["group"] == "2026-11-28/10-00-00"
    assert wandb_logger(job / "student", group="mine")._wandb_init["group"] == "mine"


class Broken(NeverFails):
    """Any logger whose server is gone."""

    name = version = "broken"

    def __init__(self) -> None:
        self.calls = 0

    def send(self) -> None:
        self.calls += 1
        raise ConnectionError("the server is gone")


def test_the_first_error_of_a_tracker_is_its_last(caplog: pytest.LogCaptureFixture) -> None:
    logger = Broken()
    for _ in range(3):
        logger.attempt(logger.send)
    assert logger.calls == 1
    assert caplog.text.count("Broken logs nothing more of this run, which goes on: ConnectionError") == 1


def test_wandb_and_its_errors_do_not_end_a_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wandb = pytest.importorskip("wandb")

    def init(**settings: Any) -> None:
        raise wandb.errors.CommError("gone")

    monkeypatch.setattr(wandb, "init", init)
    logger = Wandb(save_dir=tmp_path, offline=True)
    logger.log_hyperparams({"a": 1})
    logger.log_metrics({"b": 2.0}, 3)
    logger.finalize("success")
    assert logger.given_up


def test_a_server_is_reachable_directly_or_by_its_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        assert is_reachable(address)
        monkeypatch.setenv("http_proxy", address)
        assert is_reachable("http://wandb.invalid")
    assert not is_reachable("http://wandb.invalid")
    monkeypatch.delenv("http_proxy")
    assert not is_reachable(address)


def test_an_upload_that_fails_does_not_end_a_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    logger = Wandb(save_dir=tmp_path, offline=False, log_model="all")

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(logger, "_scan_and_log_checkpoints", full)
    logger.after_save_checkpoint(ModelCheckpoint())
    assert logger.given_up


def test_checkpoints_of_a_run_that_stays_offline_are_not_uploaded(tmp_path: Path) -> None:
    assert wandb_logger(tmp_path / "run" / "student", log_model="all")._offline
