"""Lane or not: two classes, from masks of 0 and 255, taught by label maps, scored by pixels."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from lgad_lightning.data.synthetic import SyntheticData, generate
from tests.helpers.commands import TINY, run

OWN = [option for option in TINY if not option.startswith(("data.train", "data.val", "data.test", "data.image"))]


@pytest.mark.slow
def test_binary_masks_through_lgad_fit(tmp_path: Path) -> None:
    roads = generate(SyntheticData(train=16, val=4, test=9, image_size=(148, 410)), tmp_path / "roads", workers=0)
    for split in ("train", "val", "test"):
        for number, image in enumerate(sorted(roads.glob(f"driver*/{split}_*.MP4/*.jpg"))):
            mask = next(roads.glob(f"laneseg_label_w16*/{image.relative_to(roads).with_suffix('.png')}"))
            for folder, content in (("images", cv2.imread(str(image))), ("masks", cv2.imread(str(mask)) > 0)):
                path = tmp_path / "OWN" / split / folder / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), np.where(content, 255, 0) if folder == "masks" else content)
    run("lgad-fit", "data=binary", "data.root=OWN", *OWN, "hydra.run.dir=run", folder=tmp_path)
    results = json.loads((tmp_path / "run/metrics.json").read_text())
    assert set(results["total"]) == {"f1", "precision", "recall", "pixel_iou", "image_recall", "image_iou"}
    assert results["pixels"]["iou"] == pytest.approx(results["total"]["pixel_iou"], abs=1e-4)
    assert len(list((tmp_path / "run/predictions").rglob("*.lines.txt"))) == 9
    run("lgad-predict", "run", "OWN/test/images", "--device", "cpu", "--write", "lines", "overlay", folder=tmp_path)
    assert len((tmp_path / "predictions/lanes.jsonl").read_text().splitlines()) == 9
