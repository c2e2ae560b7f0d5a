import json
import logging
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lgad_lightning import ENet, LanePredictor, LgadError
from lgad_lightning.commands.export import main
from lgad_lightning.commands.predict import main as predict
from lgad_lightning.data.synthetic import SyntheticData, generate
from lgad_lightning.export.write import SUFFIXES
from tests.helpers import tensorrt_stand_in
from tests.helpers.students import IMAGE_SIZE, NAMES, TinyNet, make_student, road, save_checkpoint, write_roads

pytestmark = pytest.mark.export
onnx = pytest.importorskip("onnx", reason="needs the extra `export`")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra `export`")
pytest.importorskip("onnxscript", reason="needs the extra `export`")

REFUSED = {"MaxUnpool", "GridSample", "ScatterElements", "ScatterND", "NonZero", "Loop", "If"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints, a data set, and what is exported once for many tests."""
    folder = tmp_path_factory.mktemp("export")
    generate(SyntheticData(train=8, val=2, test=9, image_size=IMAGE_SIZE), folder / "data", workers=0)
    save_checkpoint(make_student(TinyNet), folder / "tiny.ckpt")
    export(folder / "tiny.ckpt", "--out", folder / "plain.onnx", "--check", folder / "data")
    export(folder / "tiny.ckpt", "--out", folder / "whole.onnx", "--with", "preprocessing,decoding")
    export(folder / "tiny.ckpt", "--out", folder / "many.onnx", "--with", "decoding", "--dynamic", "batch")
    return folder


def export(*arguments: object) -> None:
    main([str(argument) for argument in arguments])


def fails(*arguments: object) -> str:
    with pytest.raises(SystemExit) as caught:
        export(*arguments)
    assert isinstance(caught.value.code, str)
    assert "\n" not in caught.value.code
    return caught.value.code


def metadata(path: Path) -> dict[str, Any]:
    return {entry.key: json.loads(entry.value) for entry in onnx.load(path).metadata_props}


def shapes(values: Any) -> dict[str, list[Any]]:
    return {
        value.name: [side.dim_value or side.dim_param for side in value.type.tensor_type.shape.dim] for value in values
    }


def agreement(path: Path, checkpoint: Path) -> float:
    """Share of the points of lanes that are the same, found by `LanePredictor`."""
    exported, student = LanePredictor(path), LanePredictor(checkpoint)
    same = total = 0
    for seed in range(3):
        points: list[set[tuple[int, float, float]]] = [
            {(lane.slot, x, y) for lane in predictor.predict(road(seed)) for x, y in lane.points.tolist()}
            for predictor in (exported, student)
        ]
        same, total = same + len(points[0] & points[1]), total + len(points[0] | points[1])
    assert total > 100
    return same / total


def test_the_network_alone(folder: Path) -> None:
    graph = onnx.load(folder / "plain.onnx").graph
    assert shapes(graph.input) == {"image": [1, 3, 32, 96]}
    assert shapes(graph.output) == {"logits": [1, 5, 32, 96], "existence_logits": [1, 4]}
    assert agreement(folder / "plain.onnx", folder / "tiny.ckpt") > 0.99


def test_a_frame_in_and_lanes_out(folder: Path) -> None:
    graph = onnx.load(folder / "whole.onnx").graph
    assert shapes(graph.input) == {"frame": [148, 410, 3]}
    assert shapes(graph.output) == {
        "column": [1, 4, 18], "score": [1, 4, 18], "valid": [1, 4, 18], "existence": [1, 4]
    }  # fmt: skip
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert not {node.op_type for node in graph.node} & REFUSED
    assert agreement(folder / "whole.onnx", folder / "tiny.ckpt") > 0.99
    with pytest.raises(LgadError, match="exported for frames of 410x148"):
        LanePredictor(folder / "whole.onnx").predict(road(size=(100, 200)))


def test_frames_lower_than_the_crop_of_the_training(folder: Path, tmp_path: Path) -> None:
    """The crop is the same share of the height, as in `lgad-predict`."""
    path, image = tmp_path / "lanes.onnx", road(size=(40, 111))
    export(folder / "tiny.ckpt", "--with", "preprocessing", "--frame-size", "111x40", "--out", path)
    found, expected = LanePredictor(path).predict(image), LanePredictor(folder / "tiny.ckpt").predict(image)
    assert expected
    assert [lane.points.tolist() for lane in found] == [lane.points.tolist() for lane in expected]


def test_any_number_of_images(folder: Path) -> None:
    graph = onnx.load(folder / "many.onnx").graph
    assert shapes(graph.input) == {"image": ["batch", 3, 32, 96]}
    assert agreement(folder / "many.onnx", folder / "tiny.ckpt") > 0.99
    predictor = LanePredictor(folder / "many.onnx", batch_size=4)
    assert predictor.predict([road(0), road(1), road(2)])[1] == predictor.predict(road(1))


def test_the_file_says_what_a_consumer_needs(folder: Path) -> None:
    found = metadata(folder / "whole.onnx")
    assert found["class_names"] == list(NAMES)
    assert (found["protocol"], found["precision"]) == ("culane", "fp32")
    assert (found["frame_size"], found["crop_top"], found["channels"]) == ([148, 410], 48, "bgr")
    assert found["rows"][:2] == [147.0, 142.0]
    assert len(found["rows"]) == 18
    assert found["versions"].keys() == {"lgad-lightning", "torch", "onnx"}
    assert found["logits_difference"] < 1e-4
    checked = metadata(folder / "plain.onnx")["checked"]
    assert checked["checkpoint"].keys() == checked["export"].keys() >= {"f1", "tp"}
    assert checked["export"]["f1"] == pytest.approx(checked["checkpoint"]["f1"], abs=0.005)


def test_no_operator_that_other_engines_refuse(folder: Path) -> None:
    for name in ("plain", "whole", "many"):
        model = onnx.load(folder / f"{name}.onnx")
        assert not {node.op_type for node in model.graph.node} & REFUSED
        assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]
        for value in (*model.graph.initializer,):
            assert value.data_type != onnx.TensorProto.DOUBLE
        # TensorRT can only convert 8-bit integers
        assert {node.op_type for node in model.graph.node if "frame" in node.input} == (
            {"Cast"} if name == "whole" else set()
        )


def test_lgad_predict_runs_it(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = write_roads(tmp_path / "frames", 3)
    predict([str(folder / "whole.onnx"), "frames"])
    records = [json.loads(line) for line in Path("predictions/lanes.jsonl").read_text().splitlines()]
    assert [record["image"] for record in records] == names
    assert all(record["lanes"] for record in records)
    assert len(list(Path("predictions").rglob("*.lines.txt"))) == 3


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_fewer_bits(folder: Path, tmp_path: Path, precision: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "small.onnx"
    calibrate = ("--calibrate", folder / "data") if precision == "int8" else ()
    export(folder / "tiny.ckpt", "--out", path, "--precision", precision, *calibrate)
    told = capsys.readouterr().out
    assert "Logits differ by" in told
    assert re.search(r"A frame takes \d+\.\d ms here, the checkpoint \d+\.\d ms \(\d+\.\d\d times\)", told)
    kinds = {node.op_type for node in onnx.load(path).graph.node}
    assert ("QuantizeLinear" in kinds) == (precision == "int8")
    assert agreement(path, folder / "tiny.ckpt") > 0.1  # a network that was not trained is sure of nothing
    assert metadata(path)["logits_difference"] < 0.5  # a maximum that is found elsewhere is unpooled elsewhere


def test_lane_or_not(tmp_path: Path) -> None:
    checkpoint = save_checkpoint(make_student(TinyNet, protocol="pixels"), tmp_path / "binary.ckpt")
    export(checkpoint, "--out", tmp_path / "lanes.onnx", "--with", "preprocessing")
    assert agreement(tmp_path / "lanes.onnx", checkpoint) > 0.99
    assert "leave out decoding" in fails(checkpoint, "--out", tmp_path / "other.onnx", "--with", "decoding")


@pytest.mark.parametrize(("kind", "symmetric"), [("onnx", False), ("tensorrt", True)])
def test_int8_lies_around_zero_for_tensorrt_alone(folder: Path, tmp_path: Path, kind: str, symmetric: bool) -> None:
    path = tmp_path / "small.onnx"
    calibrate = ("--precision", "int8", "--calibrate", folder / "data", "--images", "2")
    export(folder / "tiny.ckpt", "--format", kind, "--out", path, *calibrate)
    graph = onnx.load(path).graph
    zeros = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    points = [zeros[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"]
    assert {point.dtype.name for point in points} == {"int8" if symmetric else "uint8"}
    assert any(point != 0 for point in points) != symmetric
    openvino = pytest.importorskip("openvino")
    image = np.zeros([side.dim_value for side in graph.input[0].type.tensor_type.shape.dim], np.float32)
    logits = openvino.compile_model(path, "CPU")([image])[0]  # which once ended the process
    assert np.isfinite(logits).all()


@pytest.mark.slow
def test_distilled_and_plain_students_cost_the_same(tmp_path: Path) -> None:
    """Their graphs are equal, but for the weights; and none holds what other engines refuse."""
    graphs = []
    for seed in (0, 1):
        checkpoint = save_checkpoint(make_student(ENet, seed), tmp_path / f"{seed}.ckpt")
        export(checkpoint, "--out", tmp_path / f"{seed}.onnx", "--with", "decoding")
        nodes = onnx.load(tmp_path / f"{seed}.onnx").graph.node
        graphs.append([(node.op_type, list(node.input), list(node.output)) for node in nodes])
    assert graphs[0] == graphs[1]
    assert not {kind for kind, _, _ in graphs[0]} & REFUSED
    assert agreement(tmp_path / "1.onnx", tmp_path / "1.ckpt") > 0.99


def test_openvino(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("openvino", reason="needs the extra `export`")
    path = tmp_path / "lanes.xml"
    for parts in ((), ("--with", "preprocessing,decoding")):  # its own may be replaced
        export(folder / "tiny.ckpt", "--format", "openvino", "--out", path, *parts)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["lanes.bin", "lanes.xml"]
    assert agreement(path, folder / "tiny.ckpt") > 0.99
    (tmp_path / "lanes.bin").unlink()
    with pytest.raises(LgadError, match=r"lanes\.bin"):
        LanePredictor(path)
    path.write_text("<net>")
    (tmp_path / "lanes.bin").write_bytes(b"")
    with pytest.raises(LgadError, match="is no OpenVINO model"):
        LanePredictor(path)
    assert "is there already" in fails(folder / "tiny.ckpt", "--format", "openvino", "--out", path)


def test_tensorrt_is_built_where_it_runs(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "lanes.onnx"
    path.with_suffix(".engine").write_text("of an earlier export")
    options = ("--format", "tensorrt", "--precision", "fp16", "--dynamic", "batch", "--overwrite")
    export(folder / "tiny.ckpt", "--out", path, *options)
    told = capsys.readouterr().out
    assert "lanes.engine belongs to an earlier lanes.onnx" in told
    assert f"trtexec --onnx={path} --saveEngine={tmp_path / 'lanes.engine'} --stronglyTyped" in told
    assert "--maxShapes=image:16x3x32x96" in told


@pytest.fixture
def with_tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with TensorRT and a GPU, as far as one can be had without."""
    monkeypatch.setitem(sys.modules, "tensorrt", tensorrt_stand_in)
    for user in ("inference.tensorrt_engine", "export.write"):
        monkeypatch.setattr(f"lgad_lightning.{user}.can_build_engines", lambda: True)
    monkeypatch.setattr("lgad_lightning.inference.tensorrt_engine.TensorRtEngine.device", "cpu")


@pytest.mark.parametrize("options", [("--with", "preprocessing,decoding"), ("--dynamic", "batch")])
@pytest.mark.usefixtures("with_tensorrt")
def test_tensorrt_builds_an_engine_and_compares_it(
    folder: Path, tmp_path: Path, options: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "lanes.onnx"
    export(folder / "tiny.ckpt", "--format", "tensorrt", "--out", path, "--check", folder / "data", *options)
    told = capsys.readouterr().out
    assert f"Wrote {tmp_path / 'lanes.engine'}" in told
    assert "trtexec" not in told
    assert sorted(file.name for file in tmp_path.iterdir()) == ["lanes.engine", "lanes.onnx"]
    asked = dict(tensorrt_stand_in.asked)
    assert asked["network"] == 1 << tensorrt_stand_in.NetworkDefinitionCreationFlag.STRONGLY_TYPED
    assert asked["without"] is tensorrt_stand_in.BuilderFlag.TF32
    shapes = {"image": ((1, 3, 32, 96), (4, 3, 32, 96), (16, 3, 32, 96))}
    assert asked.get("profile") == (shapes if "--dynamic" in options else None)
    assert agreement(tmp_path / "lanes.engine", folder / "tiny.ckpt") > 0.99
    assert metadata(path)["checked"]["export"]["f1"] == pytest.approx(metadata(path)["checked"]["checkpoint"]["f1"])


@pytest.mark.usefixtures("with_tensorrt")
def test_an_engine_that_cannot_be_run_is_refused(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lanes.engine"
    with pytest.raises(LgadError, match=r"no file .*lanes\.engine"):
        LanePredictor(path)
    path.write_bytes(b"of another machine")
    with pytest.raises(LgadError, match=r"no file .*lanes\.onnx"):
        LanePredictor(path)
    told = fails(folder / "tiny.ckpt", "--format", "tensorrt", "--out", path.with_suffix(".onnx"))
    assert "lanes.engine is there already" in told
    path.with_suffix(".onnx").write_bytes((folder / "plain.onnx").read_bytes())
    with pytest.raises(LgadError, match="An engine is built where it runs"):
        LanePredictor(path)
    monkeypatch.setattr(tensorrt_stand_in.Builder, "build_serialized_network", lambda *_: None)
    told = fails(folder / "tiny.ckpt", "--format", "tensorrt", "--out", tmp_path / "other.onnx")
    assert "cannot build an engine" in told
    monkeypatch.setattr("lgad_lightning.inference.tensorrt_engine.can_build_engines", lambda: False)
    with pytest.raises(LgadError, match="on a CUDA GPU"):
        LanePredictor(path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["lanes.engine", "lanes.onnx"]


def test_data_that_need_settings(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "own"
    own.mkdir()
    for number, lanes in enumerate(sorted((folder / "data").rglob("*.lines.txt"))):
        image = lanes.with_name(lanes.name.replace(".lines.txt", ".jpg"))
        (own / f"{number}.jpg").write_bytes(image.read_bytes())
        (own / f"{number}.lines.txt").write_bytes(lanes.read_bytes())
    plan = [folder / "tiny.ckpt", "--out", tmp_path / "own.onnx", "--check", own, "--layout", "folder"]
    assert "no test images" in fails(*plan)
    export(*plan, "--set", "split=0.5/0.1/0.4", "num_slots=4")
    assert f"f1 on {own}:" in capsys.readouterr().out
    assert metadata(tmp_path / "own.onnx")["checked"]["data"] == str(own)


def test_an_export_that_scores_otherwise_is_not_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lgad_lightning.export import parity, score

    path = tmp_path / "lanes.onnx"
    figures = iter([{"f1": 0.80}, {"f1": 0.79}] * 2)
    with monkeypatch.context() as patch:
        patch.setattr(score, "official_figures", lambda *arguments: next(figures))
        assert "f1 differs by 0.0100" in fails(folder / "tiny.ckpt", "--out", path, "--check", folder / "data")
        assert list(tmp_path.iterdir()) == []
        export(folder / "tiny.ckpt", "--out", path, "--check", folder / "data", "--tolerance", 0.02)
    before = path.read_bytes()
    monkeypatch.setattr(parity, "logits_difference", lambda *arguments: float("nan"))
    assert "computes something else" in fails(folder / "tiny.ckpt", "--out", path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["lanes.onnx"]


def test_an_export_that_finds_other_lanes_is_not_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lgad_lightning.export import parity

    path = tmp_path / "lanes.onnx"
    monkeypatch.setattr(parity, "lane_parity", lambda *arguments: parity.LaneParity(100, 6))
    assert "6 of 100 points differ" in fails(folder / "tiny.ckpt", "--out", path)
    assert list(tmp_path.iterdir()) == []
    export(folder / "tiny.ckpt", "--out", path, "--precision", "fp16")
    monkeypatch.setattr(parity, "lane_parity", lambda *arguments: parity.LaneParity(0, 0))
    export(folder / "tiny.ckpt", "--out", path)
    assert "no lanes were compared" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_a_full_disk_leaves_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    path = tmp_path / f"lanes{SUFFIXES[kind]}"
    if kind == "openvino":
        openvino = pytest.importorskip("openvino", reason="needs the extra `export`")
        save, size = openvino.save_model, 3000  # for it alone: it raises a RuntimeError

        def saved(*arguments: Any, **options: Any) -> None:
            with no_file_larger_than(size):
                save(*arguments, **options)

        monkeypatch.setattr(openvino, "save_model", saved)
        told = fails(folder / "tiny.ckpt", "--format", kind, "--out", path)
    else:
        with no_file_larger_than(3000):
            told = fails(folder / "tiny.ckpt", "--format", kind, "--out", path)
    assert "cannot be written" in told
    assert list(tmp_path.iterdir()) == []


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """What writes more to a file fails, as on a full disk."""
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_export_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    from lgad_lightning.export import parity

    before = signal.getsignal(signal.SIGTERM)
    there: list[str] = []

    def stop(*_: object) -> None:
        there.extend(path.name for path in tmp_path.iterdir())
        signal.raise_signal(number)

    monkeypatch.setattr(parity, "lane_parity", stop)
    with pytest.raises(SystemExit, match=rf"^{code}$"):
        export(folder / "tiny.ckpt", "--out", tmp_path / "lanes.onnx")
    assert [name.endswith(".part") for name in there] == [True]
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--opset", "11"], "opset 11"),
        (["--opset", "99"], "opset 99"),
        (["--dynamic", "batch", "--with", "preprocessing"], "--dynamic"),
        (["--precision", "int8"], "--calibrate"),
        (["--precision", "int8", "--calibrate", "nope"], "nope"),
        (["--check", "nope"], "nope"),
        (["--check", "empty"], "none of the known layouts"),
        (["--check", "empty", "--layout", "openlane"], "Expected is OpenLane's layout"),
        (["--set", "split=0.8/0.1/0.1"], "--set"),
        (["--check", "empty", "--layout", "culane", "--set", "stroke=thick"], "stroke"),
        (["--out", "lanes.txt"], ".onnx"),
        (["--out", "mine.onnx"], "--overwrite"),
        (["--out", "/proc/lanes.onnx"], "/proc/lanes.onnx"),
    ],
)
def test_plans_that_cannot_be(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    arguments: list[str], word: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.onnx").write_text("mine")
    (tmp_path / "empty").mkdir()
    told = fails(folder / "tiny.ckpt", *arguments)
    if "20" in word:
        word = "crop" if "crop" in told else word
    assert word in told
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert {file.name for file in tmp_path.iterdir()} == {"mine.onnx", "empty"}
    assert (tmp_path / "mine.onnx").read_text() == "mine"


def damaged(content: bytes, kind: str) -> bytes:
    model = onnx.load_from_string(content)
    if kind == "foreign":
        del model.metadata_props[:]
    elif kind == "output":
        model.graph.output[0].name, model.graph.output[1].name = "a", "b"
        for node in model.graph.node:
            for index, name in enumerate(node.output):
                node.output[index] = {"logits": "a", "existence_logits": "b"}.get(name, name)
    else:
        key, value = kind.split("=")
        for entry in model.metadata_props:
            if entry.key == key:
                entry.value = value
    result: bytes = model.SerializeToString()
    return result


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("empty", "is no ONNX file"),
        ("text", "is no ONNX file"),
        ("cut", "is no ONNX file"),
        ("foreign", "was not written by lgad-export"),
        ("lgad_format=2", "another version"),
        ("preprocessing=[", "is damaged"),
        ("preprocessing={}", None),
        ("preprocessing=5", "is damaged"),
        ('decoder={"class": "os.system", "arguments": {}}', "is not known|is not a class of the right kind"),
        ("class_names=3", "is damaged"),
        ('parts=["decoding"]', "something else than it says"),
        ("output", "something else than it says"),
    ],
)
def test_hostile_files_are_told(folder: Path, tmp_path: Path, kind: str, message: str | None) -> None:
    content = (folder / "plain.onnx").read_bytes()
    simple = {"empty": b"", "text": b"no model", "cut": content[: len(content) // 2]}
    path = tmp_path / "hostile.onnx"
    path.write_bytes(simple[kind] if kind in simple else damaged(content, kind))
    if message is None:  # another input size than the graph's
        message = "cannot be run"
    with pytest.raises(LgadError, match=message):
        LanePredictor(path).predict(np.zeros((*IMAGE_SIZE, 3), np.uint8))


def test_a_missing_library_is_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("onnx", "onnxscript", "onnxruntime", "openvino"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, library, None)
            kind, out = ("openvino", "lanes.xml") if library == "openvino" else ("onnx", "lanes.onnx")
            told = fails(folder / "tiny.ckpt", "--format", kind, "--out", tmp_path / out)
            assert f'needs {library}, which is not installed: pip install "lgad-lightning[export]"' in told
            if library in ("onnxruntime", "openvino"):
                with pytest.raises(LgadError, match=rf"needs {library}.*lgad-lightning\[export\]"):
                    LanePredictor(folder / "plain.onnx" if library == "onnxruntime" else tmp_path / "lanes.xml")
    assert list(tmp_path.iterdir()) == []


def test_the_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom lgad_lightning.commands.export import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
        "print('heavy:', {'torch', 'lightning', 'cv2', 'onnx', 'rich'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("heavy: set()\n")


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        (("--calibrate", "roads"), "--precision int8"),
        (("--check-images", 5), "--check"),
        (("--frame-size", "410x148"), "--with"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    folder: Path, tmp_path: Path, arguments: tuple[object, ...], missing: str
) -> None:
    assert missing in fails(folder / "tiny.ckpt", *arguments, "--out", tmp_path / "lanes.onnx")
    assert list(tmp_path.iterdir()) == []
