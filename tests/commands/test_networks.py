"""Networks as student and as teacher, trained a few steps, loaded again and exported."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from lgad_lightning import (
    LabelGuidedAttentionDistillation,
    LaneStudent,
    LaneTeacher,
    SyntheticLaneDataModule,
    load_student,
)
from lgad_lightning.commands.export import main as export
from lgad_lightning.networks import LaneNetwork, ResNetSCNN, SegFormer, SmpNet, TimmNet
from lgad_lightning.networks.segformer import SIZES
from tests.helpers.commands import TINY, run

SIZE = (64, 96)
FROM_LIBRARIES: dict[str, tuple[str, type[LaneNetwork], dict[str, Any], int]] = {
    "smp": (
        "segmentation_models_pytorch",
        SmpNet,
        {"encoder": "tu-test_resnet", "options": {"decoder_channels": [16, 16, 8, 8, 8]}},
        4,
    ),
    "timm": ("timm", TimmNet, {"backbone": "test_efficientnet", "channels": 16}, 4),
    "segformer": ("transformers", SegFormer, {}, 4),
    "scnn_resnet18": ("timm", ResNetSCNN, {"kernel": 3}, 5),
}
"""What it comes through, class, arguments, and how many stages are distilled."""


@pytest.mark.slow
def test_scnn_learns_under_a_teacher_of_its_kind(tmp_path: Path) -> None:
    run("lgad-fit", "network=scnn", *TINY, "hydra.run.dir=run", folder=tmp_path)
    assert "total" in json.loads((tmp_path / "run/metrics.json").read_text())
    logged = (tmp_path / "run/fit.log").read_text()
    assert "encoder.stage4" in logged


@pytest.fixture
def few_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIZES, "b0", ([8, 16, 40, 32], [1, 1, 1, 1], 16))


@pytest.mark.zoo
@pytest.mark.usefixtures("few_blocks")
@pytest.mark.parametrize("name", FROM_LIBRARIES)
def test_it_learns_under_a_teacher_of_its_kind_and_is_exported(name: str, tiny_root: Path, tmp_path: Path) -> None:
    library, kind, arguments, stages = FROM_LIBRARIES[name]
    pytest.importorskip(library, reason="the extra zoo is not installed")
    torch.manual_seed(0)
    student = LaneStudent(kind(input_size=SIZE, **arguments))
    teacher = LaneTeacher(kind(input_size=SIZE, in_channels=5, **arguments))
    before = [parameter.detach().clone() for parameter in student.parameters()]
    callback = LabelGuidedAttentionDistillation(teacher, weight=0.3)
    trainer = L.Trainer(
        accelerator="cpu", max_steps=3, callbacks=[callback], logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, limit_val_batches=1, default_root_dir=tmp_path,
        log_every_n_steps=1,
    )  # fmt: skip
    trainer.fit(
        student,
        SyntheticLaneDataModule(
            tiny_root,
            train=16,
            val=4,
            test=9,
            image_size=(148, 410),
            input_size=SIZE,
            crop_top=48,
            batch_size=4,
            num_workers=0,
        ),
    )
    expected = [(f"network.encoder.stage{number}",) * 2 for number in range(1, stages + 1)]
    assert callback.layer_pairs(student) == expected
    assert trainer.callback_metrics["lgad/loss"] > 0
    ratios = [key for key in trainer.callback_metrics if key.startswith("lgad/gradient_ratio")]
    assert len(ratios) == stages
    assert all(float(trainer.callback_metrics[key]) > 0 for key in ratios)
    assert any(not torch.equal(a, b) for a, b in zip(before, student.parameters(), strict=True))

    trainer.save_checkpoint(tmp_path / "student.ckpt")
    loaded = load_student(tmp_path / "student.ckpt")
    x = torch.rand(1, 3, *SIZE)
    torch.testing.assert_close(loaded(x), student.eval()(x), rtol=0, atol=0)
    if find_spec("onnxruntime") and find_spec("onnxscript"):
        export([str(tmp_path / "student.ckpt"), "--out", str(tmp_path / "lanes.onnx")])
        assert (tmp_path / "lanes.onnx").is_file()
    else:
        exported = torch.export.export(loaded.network, (x,)).module()
        torch.testing.assert_close(exported(x).logits, loaded(x).logits)
