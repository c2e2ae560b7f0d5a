"""The programs in examples/, on an exported student."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from lgad_lightning import LanePredictor
from lgad_lightning.commands.export import main as export
from tests.conftest import CHECKOUT
from tests.helpers.students import TinyNet, make_student, road, save_checkpoint

pytestmark = pytest.mark.export
EXAMPLES = CHECKOUT / "examples"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported student and a frame."""
    for library in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(library, reason="needs the extra `export`")
    folder = tmp_path_factory.mktemp("examples")
    save_checkpoint(make_student(TinyNet), folder / "tiny.ckpt")
    export([str(folder / "tiny.ckpt"), "--with", "preprocessing,decoding", "--out", str(folder / "lanes.onnx")])
    cv2.imwrite(str(folder / "frame.ppm"), road())
    return folder


def test_in_python(folder: Path) -> None:
    script = EXAMPLES / "onnx_runtime.py"
    assert len(script.read_text().splitlines()) < 60
    imported = {
        name.name
        for node in ast.walk(ast.parse(script.read_text()))
        if isinstance(node, ast.Import)
        for name in node.names
    }
    assert imported == {"json", "sys", "numpy", "onnxruntime"}
    command = [sys.executable, str(script), "lanes.onnx", "frame.ppm"]
    told = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    lanes = [json.loads(line) for line in told.splitlines()]
    expected = LanePredictor(folder / "lanes.onnx").predict(road())
    assert len(expected) >= 2
    assert [lane["slot"] for lane in lanes] == [lane.name for lane in expected]
    assert [[point[:2] for point in lane["points"]] for lane in lanes] == [lane.points.tolist() for lane in expected]
    assert [lane["existence"] for lane in lanes] == pytest.approx([lane.existence for lane in expected])


def test_in_cpp(folder: Path, tmp_path: Path) -> None:
    runtime = os.environ.get("ONNXRUNTIME_DIR", "")
    if not (shutil.which("cmake") and list(Path(runtime or "/nowhere").glob("include/**/onnxruntime_cxx_api.h"))):
        pytest.skip("no cmake, or ONNXRUNTIME_DIR names no release of ONNX Runtime with its C++ headers")
    configure = ["cmake", "-B", str(tmp_path), "-S", str(EXAMPLES / "cpp"), f"-DONNXRUNTIME_DIR={runtime}"]
    subprocess.run(configure, check=True, capture_output=True)
    subprocess.run(["cmake", "--build", str(tmp_path)], check=True, capture_output=True)
    command = [str(tmp_path / "lanes"), "lanes.onnx", "frame.ppm"]
    environment = os.environ | {"LD_LIBRARY_PATH": f"{runtime}/lib"}
    told = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout
    lanes = [list(map(float, line.split())) for line in told.splitlines()]
    expected = LanePredictor(folder / "lanes.onnx").predict(road())
    assert [lane[0] for lane in lanes] == [lane.slot for lane in expected]
    assert [lane[2:] for lane in lanes] == [lane.points.flatten().tolist() for lane in expected]
