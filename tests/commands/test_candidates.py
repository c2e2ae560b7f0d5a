"""What a student sees in test frames, before and behind the limit of existence."""

from pathlib import Path

import lightning as L
import pytest
import torch
import yaml

from lgad_lightning import ERFNet, LabelGuidedAttentionDistillation, LaneStudent, LgadError, SyntheticLaneDataModule
from lgad_lightning.commands.candidates import find_candidates
from lgad_lightning.commands.student_report import next_command, report
from lgad_lightning.data.pixels import Image
from lgad_lightning.networks import LaneOutput


class Certain(ERFNet):
    """Sees each slot in its own place, and believes in every second one."""

    has_existence = True

    def forward(self, image: torch.Tensor) -> LaneOutput:
        logits = torch.zeros(len(image), 5, *image.shape[-2:])
        for slot in range(1, 5):
            logits[:, slot, :, 16 * slot - 6 : 16 * slot + 6] = 20.0
        existence = torch.tensor([4.0, -4.0, 4.0, -4.0]).expand(len(image), -1) if self.has_existence else None
        return LaneOutput(logits, existence)


def test_a_test_is_complete_only_at_its_end(
    data: SyntheticLaneDataModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep does not run a job again that has figures: they must not be there before the rest."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    student = LaneStudent(Certain(), data.protocol.decoder(), data.protocol.metric())
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, default_root_dir=tmp_path)
    trainer.test(student, data, verbose=False)
    with monkeypatch.context() as patch:
        patch.setattr("lgad_lightning.commands.student_report.find_candidates", interrupted)
        with pytest.raises(KeyboardInterrupt):
            report(student, data, trainer, [], tmp_path, None)
    assert not (tmp_path / "metrics.json").exists()
    report(student, data, trainer, [], tmp_path, None)
    assert {"metrics.json", "candidates.json", "pictures"} <= {path.name for path in tmp_path.iterdir()}


def test_the_run_to_compare_with_has_the_settings_that_its_distillation_takes(tmp_path: Path) -> None:
    given = ["seed=2", "distillation=lgad", "distillation.weight=0.1", "+distillation.balanced=true", "run_dir=x"]
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(given))
    lgad = LabelGuidedAttentionDistillation(Certain())
    told = next_command(tmp_path, [lgad])
    assert told == "lgad-fit seed=2 distillation.weight=0.1 distillation=label_attention, to compare with."


@pytest.fixture
def data(tiny_root: Path) -> SyntheticLaneDataModule:
    data = SyntheticLaneDataModule(
        tiny_root, train=16, val=4, test=9, image_size=(148, 410), input_size=(32, 96), crop_top=48, batch_size=4,
        num_workers=0,
    )  # fmt: skip
    data.prepare_data()
    data.setup("test")
    return data


def test_lanes_that_the_decoder_drops_are_kept_with_their_existence(data: SyntheticLaneDataModule) -> None:
    student = LaneStudent(Certain(), data.protocol.decoder(), data.protocol.metric())
    assert student.decoder is not None
    frames = find_candidates(student, data)
    assert list(frames) == list(data.open("test").names)
    for lanes in frames.values():
        assert [round(lane.existence, 2) for lane in lanes] == [0.98, 0.02, 0.98, 0.02]
        assert all(len(lane.points) >= 2 for lane in lanes)
    assert student.decoder.existence_threshold == 0.5  # type: ignore[attr-defined]


def test_a_batch_of_broken_frames_is_left_out(data: SyntheticLaneDataModule, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = data.datasets["test"]
    dataset.on_error = "skip"
    names, read = list(data.open("test").names), dataset.source.image

    def image(index: int, reduce: bool = False) -> Image:
        if index == 8:  # alone in the last batch
            raise LgadError("broken")
        return read(index, reduce)

    monkeypatch.setattr(dataset.source, "image", image)
    student = LaneStudent(Certain(), data.protocol.decoder(), data.protocol.metric())
    assert list(find_candidates(student, data)) == names[:8]


def test_a_network_without_existence_has_none(data: SyntheticLaneDataModule) -> None:
    network = Certain()
    network.has_existence = False
    assert find_candidates(LaneStudent(network, data.protocol.decoder(), data.protocol.metric()), data) == {}
