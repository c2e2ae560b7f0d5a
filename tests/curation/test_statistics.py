import shutil
from pathlib import Path
from typing import Any

import pytest

from lgad_lightning.curation import statistics
from lgad_lightning.curation.statistics import data_statistics
from lgad_lightning.data import LaneFolderDataModule
from lgad_lightning.data.synthetic import SyntheticData, generate


@pytest.fixture(scope="module")
def roads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten images in folders of one's own."""
    root = tmp_path_factory.mktemp("data")
    generate(SyntheticData(train=10, val=0, test=0, image_size=(118, 328)), root / "train", workers=0)
    shutil.rmtree(root / "train" / "laneseg_label_w16")  # of masks, which are no images
    return root


def module(root: Path, **options: Any) -> LaneFolderDataModule:
    return LaneFolderDataModule(root, input_size=(59, 164), **options)


def test_an_interrupted_count_is_not_mixed_with_one_of_another_stroke(
    roads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LGAD_CACHE", str(tmp_path))
    expected, _ = data_statistics(module(roads, stroke=40 / 1640), "train", workers=0)

    add, count = statistics._add, 0

    def interrupted(state: Any, measures: Any) -> None:
        nonlocal count
        if count == 4:
            raise KeyboardInterrupt
        add(state, measures)
        count += 1

    monkeypatch.setattr(statistics, "_add", interrupted)
    monkeypatch.setattr("lgad_lightning.longwork.resumable._SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        data_statistics(module(roads), "train", workers=0)
    assert list(tmp_path.rglob("*.pt"))
    monkeypatch.setattr(statistics, "_add", add)
    figures, _ = data_statistics(module(roads, stroke=40 / 1640), "train", workers=0)
    assert figures == expected
