"""What docs/prediction.md and docs/export.md tell people to write and to type."""

import re
import shlex
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
from torch.nn import functional

from lgad_lightning import ENet, ERFNet
from lgad_lightning.commands import export, predict
from tests.conftest import CHECKOUT
from tests.helpers.students import make_student, road, save_checkpoint, write_video

PREDICTION, EXPORT = ((CHECKOUT / "docs" / f"{name}.md").read_text() for name in ("prediction", "export"))


def commands(text: str) -> list[list[str]]:
    lines = [line for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    return [shlex.split(part) for line in lines for part in line.split("&&")]


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    save_checkpoint(make_student(), Path("best.ckpt"))
    cv2.imwrite("frame.jpg", road())
    write_video(Path("drive.mp4"), 3, codec="mp4v")
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PREDICTION, re.DOTALL):
        exec(block, names)
    assert names["picture"].shape == road().shape
    told = capsys.readouterr().out.splitlines()
    assert "ego-left" in told[1]
    assert told[-1].startswith("2 [(")


def test_the_program_of_torch_export_computes_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    student = make_student()
    save_checkpoint(student, Path("best.ckpt"))
    for block in re.findall(r"```python\n(.*?)```", EXPORT, re.DOTALL):
        exec(block, {})
    image = torch.rand(1, 3, *student.preprocessing.input_size)
    with torch.no_grad():
        found = torch.export.load("lanes.pt2").module()(image)
        expected = student.network.eval()(image)
    assert torch.allclose(found[0], expected.logits, atol=1e-5)


@pytest.mark.parametrize(
    ("conv", "padding"),
    [
        (torch.nn.ConvTranspose2d(4, 6, 2, stride=2), (1, 0, 1, 0)),
        (torch.nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1), (1, 1, 1, 1)),
    ],
)
def test_a_resize_and_a_convolution_are_a_transposed_one(
    conv: torch.nn.ConvTranspose2d, padding: tuple[int, ...]
) -> None:
    """As docs/export.md describes it, for the shapes that ENet and ERFNet have."""
    found = {
        (module.kernel_size[0], module.padding[0], module.output_padding[0])
        for kind in (ENet, ERFNet)
        for module in make_student(kind).network.modules()
        if isinstance(module, torch.nn.ConvTranspose2d)
    }
    assert found == {(2, 0, 0), (3, 1, 1)}
    x = torch.randn(2, 4, 5, 7)
    resized = functional.interpolate(x, scale_factor=2, mode="nearest")
    resized[:, :, 1::2] = 0
    resized[..., 1::2] = 0
    kernel = conv.weight.flip(2, 3).transpose(0, 1)
    with torch.no_grad():
        ours = functional.conv2d(functional.pad(resized, padding), kernel, conv.bias)
        assert torch.allclose(ours, conv(x), atol=1e-6)


def test_what_the_pages_type_is_understood() -> None:
    parsers = {"lgad-predict": predict._parser(), "lgad-export": export._parser()}
    seen = []
    for name, *arguments in commands(PREDICTION) + commands(EXPORT):
        if name in parsers:
            parsers[name].parse_args(arguments)
            seen.append(name)
    assert {*seen} == parsers.keys()


def test_every_option_that_the_pages_name_exists() -> None:
    known = predict._parser().format_help() + export._parser().format_help() + "--pred --data of lgad-eval"
    for option in set(re.findall(r"(?<![-\w|])--[a-z][a-z-]*", PREDICTION + EXPORT)):
        assert option in known, option
