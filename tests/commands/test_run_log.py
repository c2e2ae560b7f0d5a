import csv
from pathlib import Path

import pytest

from lgad_lightning.commands.run_log import LOG, RunCSVLogger, rewind


def log(folder: Path, *figures: tuple[int, dict[str, float]]) -> None:
    """What one process logs."""
    logger = RunCSVLogger(folder, "student")
    for step, values in figures:
        logger.log_metrics(values, step)
    logger.save()


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "student" / LOG).open() as file:
        return list(csv.DictReader(file))


def test_a_second_process_goes_on_with_the_log(tmp_path: Path) -> None:
    log(tmp_path, (0, {"train/loss": 1.0}), (1, {"train/loss": 0.5}))
    log(tmp_path, (2, {"train/loss": 0.25}), (2, {"val/f1": 0.75}))
    assert [(row["step"], row["train/loss"], row["val/f1"]) for row in rows(tmp_path)] == [
        ("0", "1.0", ""), ("1", "0.5", ""), ("2", "0.25", ""), ("2", "", "0.75"),
    ]  # fmt: skip
    assert [path.name for path in (tmp_path / "student").iterdir()] == ["version_0"]


def test_what_will_be_logged_again_is_cut_off(tmp_path: Path) -> None:
    log(tmp_path, *((step, {"loss": float(step)}) for step in range(5)))
    rewind(tmp_path / "student" / LOG, 3)
    assert [row["step"] for row in rows(tmp_path)] == ["0", "1", "2"]


@pytest.mark.parametrize("rest", ["4", "4,", "x,1.0\n", "\ufffd\n"])
def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path, rest: str) -> None:
    log(tmp_path, (0, {"loss": 1.0}), (1, {"loss": 2.0}))
    path = tmp_path / "student" / LOG
    path.write_text(path.read_text() + rest)
    rewind(path, 10)
    assert [row["loss"] for row in rows(tmp_path)][:2] == ["1.0", "2.0"]
    log(tmp_path, (5, {"loss": 3.0}))
    assert rows(tmp_path)[-1] == {"loss": "3.0", "step": "5"}


def test_without_a_log_there_is_nothing_to_cut(tmp_path: Path) -> None:
    rewind(tmp_path / LOG, 3)
    assert not (tmp_path / LOG).exists()


def test_an_empty_log_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "student" / LOG).parent.mkdir(parents=True)
    (tmp_path / "student" / LOG).write_text("")
    log(tmp_path, (0, {"loss": 1.0}))
    assert [row["loss"] for row in rows(tmp_path)] == ["1.0"]
