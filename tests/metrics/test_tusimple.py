import json

from lgad_lightning.lanes import Lane, read_tusimple
from lgad_lightning.metrics import TuSimpleAccuracy


def test_the_public_file_has_the_official_figures_to_the_last_bit(golden_dir):
    folder = golden_dir / "tusimple" / "public"
    labels = {frame.raw_file: frame for frame in read_tusimple(folder / "label.json")}
    predictions = [json.loads(line) for line in (folder / "pred.json").read_text().splitlines()]
    metric = TuSimpleAccuracy()
    slow = set()
    for prediction in predictions:
        label = labels[prediction["raw_file"]]
        rows = label.h_samples
        lanes = [
            Lane([(x, y) for x, y in zip(lane, rows, strict=True) if x >= 0], (720, 1280))
            for lane in prediction["lanes"]
        ]
        if prediction["run_time"] > 200:
            slow.add(label.raw_file)
            continue
        metric.update([lanes], [label.lanes], images=[label.raw_file], h_samples=[rows])
    per_image = json.loads((folder / "expected.json").read_text())["per_image"]
    kept = [per_image[p["raw_file"]] for p in predictions if p["raw_file"] not in slow]
    for key, value in metric.results()["total"].items():
        total = 0.0
        for scores in kept:
            total += scores[key]
        assert value == total / len(kept)
        assert metric.compute()[key].item() == value


def test_without_images_all_is_zero():
    assert TuSimpleAccuracy().results() == {"total": {"accuracy": 0.0, "fp": 0.0, "fn": 0.0}, "scenarios": {}}
