import json
from pathlib import Path

import pytest
import torch
from torch import nn

from lgad_lightning import ERFNet, LaneStudent, Preprocessing
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import CULaneDecoder

pytest.importorskip("safetensors", reason="needs the extra `hub`")

SIZE = (32, 96)


def student() -> LaneStudent:
    network = ERFNet(num_classes=5, input_size=SIZE, channels=(8, 16, 24))
    made = LaneStudent(network, CULaneDecoder(blur=3), preprocessing=Preprocessing(SIZE, 48, channels="bgr"))
    made.figures = {"val/f1": 0.75}
    return made.eval()


def test_a_saved_student_comes_back(tmp_path: Path) -> None:
    saved = student()
    folder = saved.save_pretrained(tmp_path / "student")
    assert {path.name for path in folder.iterdir()} == {"config.json", "model.safetensors", "README.md"}
    loaded = LaneStudent.from_pretrained(folder)
    image = torch.randn(1, 3, *SIZE)
    with torch.no_grad():
        assert torch.equal(loaded(image).logits, saved(image).logits)
    assert (loaded.preprocessing, loaded.decoder.blur, loaded.figures) == (saved.preprocessing, 3, {"val/f1": 0.75})
    card = (folder / "README.md").read_text()
    assert "| val/f1 | 0.7500 |" in card
    assert "ERFNet" in card
    saved.save_pretrained(folder, figures={"test/f1": 0.5})
    assert "| test/f1 | 0.5000 |" in (folder / "README.md").read_text()


def test_a_folder_of_others_is_kept(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"mine": 1}')
    with pytest.raises(LgadError, match="They are not replaced"):
        student().save_pretrained(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    with pytest.raises(LgadError, match="is a file"):
        student().save_pretrained(tmp_path / "config.json")


def test_a_network_that_cannot_be_described_is_refused(tmp_path: Path) -> None:
    class Plain(nn.Conv2d):
        num_classes = 5

    made = LaneStudent(Plain(3, 5, 1), CULaneDecoder(), preprocessing=Preprocessing(SIZE))
    with pytest.raises(LgadError, match="network cannot be described"):
        made.save_pretrained(tmp_path / "student")
    assert not (tmp_path / "student").exists()


def test_damaged_folders_are_told(tmp_path: Path) -> None:
    folder = student().save_pretrained(tmp_path / "student")
    config = json.loads((folder / "config.json").read_text())
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:1000])
    with pytest.raises(LgadError, match=r"weights of .* cannot be read"):
        LaneStudent.from_pretrained(folder)
    (folder / "model.safetensors").write_bytes(weights)
    for content, message in (
        ("{", "cannot be read"),
        ('{"model_type": "bert"}', "comes from another program"),
        (json.dumps(config | {"format": 99}), "another format"),
        (json.dumps(config | {"network": config["network"] | {"arguments": {"depth": 3}}}), "cannot be built"),
        (json.dumps({key: value for key, value in config.items() if key != "decoder"}), "The decoder of .* not known"),
        (json.dumps({key: value for key, value in config.items() if key != "figures"}), "has no figures"),
        (
            json.dumps(config | {"preprocessing": config["preprocessing"] | {"gamma": 2}}),
            "not describe a preprocessing",
        ),
    ):
        (folder / "config.json").write_text(content)
        with pytest.raises(LgadError, match=message):
            LaneStudent.from_pretrained(folder)


def test_without_network_the_hub_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(LgadError, match="not a folder here, and the hub does not have it"):
        LaneStudent.from_pretrained("nobody/nothing")


def test_what_cannot_be_saved_leaves_an_earlier_student_whole(tmp_path: Path) -> None:
    folder = student().save_pretrained(tmp_path / "student", figures={"test/f1": torch.tensor(0.5)})
    assert "| test/f1 | 0.5000 |" in (folder / "README.md").read_text()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    tied = student()
    tied.network.decoder[0] = tied.network.encoder.stage1[0]  # safetensors refuses weights that are shared
    with pytest.raises(LgadError, match="student cannot be written"):
        tied.save_pretrained(folder)
    with pytest.raises(TypeError):
        student().save_pretrained(folder, figures={"test/f1": object()})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("key", "value"),
    [("network", {"class": 5, "arguments": {}}), ("network", {"class": "a.B", "arguments": [1]}), ("class_names", None),
     ("image_size", 5)],
)  # fmt: skip
def test_a_damaged_description_is_told(tmp_path: Path, key: str, value: object) -> None:
    folder = student().save_pretrained(tmp_path / "student")
    description = json.loads((folder / "config.json").read_text()) | {key: value}
    (folder / "config.json").write_text(json.dumps(description))
    with pytest.raises(LgadError, match=r"damaged|no description"):
        LaneStudent.from_pretrained(folder)
