from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lgad_lightning import ENet, ERFNet, LgadError, Preprocessing
from lgad_lightning.export.modules import ExportableNetwork, FramePreprocessing, GridDecoding, PoolWithPlaces
from lgad_lightning.lanes import CULaneDecoder, Frame, TuSimpleDecoder
from lgad_lightning.networks.enet import max_unpool
from tests.helpers.students import make_student, road


@given(st.integers(0, 2**31), st.integers(1, 4))
def test_pooling_with_places_is_pooling_with_indices(seed: int, levels: int) -> None:
    """Also where values are equal."""
    x = torch.randint(levels, (2, 3, 8, 6), generator=torch.Generator().manual_seed(seed)).float() - 1
    pool = nn.MaxPool2d(2, return_indices=True)
    pooled, indices = pool(x)
    found, places = PoolWithPlaces(pool)(x)
    assert torch.equal(found, pooled)
    values = torch.randn(2, 3, 4, 3)
    assert torch.equal(max_unpool(values, places), max_unpool(values, indices))


@pytest.mark.parametrize("kind", [ENet, ERFNet])
def test_the_exportable_network_computes_the_same(kind: type) -> None:
    network = make_student(kind).network
    before = {name: value.clone() for name, value in network.state_dict().items()}
    image = torch.randn(2, 3, 32, 96)
    image[:, :, :8] = 0  # equal values in every window
    with torch.no_grad():
        logits, existence = ExportableNetwork(network)(image)
        expected = network.eval()(image)
    assert torch.equal(logits, expected.logits)
    assert torch.equal(existence, expected.existence)
    assert network.state_dict().keys() == before.keys()


def test_other_poolings_with_indices_are_refused() -> None:
    with pytest.raises(LgadError, match="cannot be exported"):
        ExportableNetwork(nn.Sequential(nn.MaxPool2d(3, return_indices=True)))


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
@pytest.mark.parametrize(("size", "crop"), [((148, 410), 48), ((590, 1640), 240), ((20, 60), 0), ((70, 192), 6)])
def test_frames_are_cut_like_images(channels: Literal["rgb", "bgr"], size: tuple[int, int], crop: int) -> None:
    preprocessing = Preprocessing((32, 96), crop, channels=channels)
    image = road(size=size)
    pixels, _ = preprocessing.cut(image)
    expected = preprocessing.normalise(torch.from_numpy(pixels)[None])
    found = FramePreprocessing(preprocessing, size)(torch.from_numpy(image))
    assert torch.equal(found, expected)


@pytest.mark.export
@pytest.mark.parametrize(("size", "crop"), [((148, 410), 48), ((70, 192), 6)])
def test_frames_are_cut_like_images_in_other_engines(size: tuple[int, int], crop: int, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra `export`")
    pytest.importorskip("onnxscript", reason="needs the extra `export`")
    preprocessing = Preprocessing((32, 96), crop, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), pixel_range=255.0)
    image = road(size=size)
    expected = preprocessing.cut(image)[0][..., ::-1].transpose(2, 0, 1)[None].astype(np.float32)
    path = tmp_path / "frame.onnx"
    module = FramePreprocessing(preprocessing, size).eval()
    torch.onnx.export(module, (torch.from_numpy(image),), path, input_names=["frame"], opset_version=18, verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(None, {"frame": image})[0], expected)
    openvino = pytest.importorskip("openvino", reason="needs the extra `export`")
    compiled = openvino.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    np.testing.assert_array_equal(compiled([image])[0], expected)


@given(
    seed=st.integers(0, 2**31),
    decoder=st.sampled_from(
        [
            CULaneDecoder(0.25),
            CULaneDecoder(0.22, 0.7, rows=25, blur=5),
            TuSimpleDecoder(0.25, max_lanes=2),
            TuSimpleDecoder(0.1, 0.2, range(5, 140, 10), blur=3),
        ]
    ),
    frame=st.sampled_from([Frame(590, 1640, 240), Frame(720, 1280), Frame(148, 410, 48)]),
    head=st.booleans(),
)
@settings(max_examples=20)
def test_the_grid_is_the_decoders(seed: int, decoder: CULaneDecoder, frame: Frame, head: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(2, 5, 6, 10, generator=generator).numpy()
    maps = np.stack([[cv2.resize(plane, (96, 32)) for plane in image] for image in coarse])
    logits = torch.from_numpy(2 * maps)
    existence = torch.randn(2, 4, generator=generator) if head else None
    grid = decoder.grid(logits.softmax(1), None if existence is None else existence.sigmoid(), [frame] * 2)
    decoding = GridDecoding(decoder, frame, (32, 96))
    x, score, valid, exists = decoding(logits, existence)
    np.testing.assert_array_equal(valid.numpy(), grid.found)
    np.testing.assert_array_equal(x.numpy(), grid.x)
    np.testing.assert_array_equal(score.numpy(), grid.score)
    np.testing.assert_array_equal(np.tile(decoding.rows, (2, 1)), grid.y)
    expected = grid.found.any(2) if grid.existence is None else grid.existence
    np.testing.assert_array_equal(exists.numpy(), expected)
