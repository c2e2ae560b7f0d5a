"""`lgad-export`: exports a student to a file that other programs can run."""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lgad_lightning import __version__
from lgad_lightning.commands.arguments import add_layout, at_least, ratio, width_height
from lgad_lightning.commands.console import CommandParser, run_command, tidy_on_sigterm
from lgad_lightning.errors import LgadError

PARTS = ("preprocessing", "decoding")


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script.

    Args:
        arguments: The command line's arguments, those of this process if None.
    """
    options = _parser().parse_args(arguments)
    run_command("lgad-export", lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        "lgad-export",
        description="Export a student to a file that other programs can run, and compare both.",
    )
    parser.add_argument("--version", action="version", version=f"lgad-export {__version__}")
    parser.add_argument("model", metavar="MODEL", help="checkpoint, or folder of a run or of a saved student")
    parser.add_argument("--format", choices=("onnx", "openvino", "tensorrt"), default="onnx", help="default: onnx")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="file to write (default: lanes.onnx; for openvino lanes.xml)"
    )
    parser.add_argument("--opset", type=int, default=18, metavar="N", help="version of ONNX's operators (default: 18)")
    parser.add_argument("--precision", choices=("fp32", "fp16", "int8"), default="fp32", help="default: fp32")
    parser.add_argument(
        "--with",
        dest="parts",
        type=_parts,
        default=frozenset(),
        metavar="PARTS",
        help="what to put into the file: preprocessing, decoding, or preprocessing,decoding",
    )
    parser.add_argument(
        "--frame-size",
        type=width_height,
        metavar="WxH",
        help="size of the frames that these parts are for (default: that of the training)",
    )
    parser.add_argument("--dynamic", choices=("batch",), help="leave the number of images free (default: one)")
    parser.add_argument(
        "--calibrate", type=Path, metavar="DATA", help="data set; int8 is calibrated on its training images"
    )
    parser.add_argument(
        "--images", type=at_least(1), default=64, metavar="N", help="number of images to calibrate on (default: 64)"
    )
    parser.add_argument("--check", type=Path, metavar="DATA", help="data set whose test images are used for the scores")
    parser.add_argument(
        "--check-images", type=at_least(1), metavar="N", help="number of images to score on (default: all)"
    )
    parser.add_argument(
        "--tolerance",
        type=ratio,
        default=0.005,
        help="largest difference of the figure, from 0 to 1 (default: 0.005, half a point)",
    )
    add_layout(parser)
    parser.add_argument("--overwrite", action="store_true", help="write even over a file of other origin")
    return parser


def _parts(text: str) -> frozenset[str]:
    parts = frozenset(text.split(","))
    if not parts <= set(PARTS):
        raise argparse.ArgumentTypeError(f"'{text}' is none of preprocessing, decoding, or both with a comma")
    return parts


@tidy_on_sigterm()
def _run(options: argparse.Namespace) -> None:
    # Imported here, because --help should not wait for torch.
    from lgad_lightning.commands.named_data import open_named
    from lgad_lightning.commands.outputs import check_output
    from lgad_lightning.curation.layouts import find_layout
    from lgad_lightning.export.build import ExportPlan, build_onnx
    from lgad_lightning.export.write import BESIDE, SUFFIXES, written
    from lgad_lightning.extras import import_extra
    from lgad_lightning.inference.engine import TorchEngine
    from lgad_lightning.inference.model_info import files_identity
    from lgad_lightning.inference.open_model import open_student

    if options.layout != "auto":
        find_layout(Path(), options.layout)  # refuses an unknown name, even if no data set is given
    if options.set and not (options.check or options.calibrate):
        raise LgadError("--set says how a data set is read: give one with --check or --calibrate.")
    if options.calibrate and options.precision != "int8":
        raise LgadError("--calibrate is for --precision int8: give this, too, or leave out --calibrate.")
    if options.check_images and not options.check:
        raise LgadError("--check-images limits the images of --check: give this, too.")
    if options.frame_size and not options.parts:
        raise LgadError("--frame-size is the size for the parts of --with: give this, too.")
    suffix = SUFFIXES[options.format]
    path = options.out or Path(f"lanes{suffix}")
    if path.suffix != suffix:
        raise LgadError(f"--out {path}: the file must end in {suffix}.")
    ours = path.is_file() and b"lgad_format" in path.read_bytes()
    for file in [path, path.with_suffix(BESIDE[options.format])] if options.format in BESIDE else [path]:
        check_output(file, lambda content: ours, options.overwrite)
    plan = ExportPlan(
        options.precision,
        options.parts,
        options.frame_size,
        options.opset,
        dynamic=options.dynamic is not None,
        symmetric=options.format == "tensorrt",
    )
    for library in ("onnx", "onnxscript", "onnxruntime", *(["openvino"] if options.format == "openvino" else [])):
        import_extra(library, "export", f"--format {options.format}")
    student, files = open_student(options.model)
    identity = files_identity(files)
    torch_engine = TorchEngine(student, identity=identity)
    data = {
        folder: open_named(folder, options.layout, options.set)
        for folder in (options.calibrate, options.check)
        if folder
    }
    check = data.get(options.check)
    if check is not None and check.protocol.name == "pixels":
        raise LgadError("--check scores lanes, but this data set is scored by its pixels: leave out --check.")
    images: list[Any] = []
    if options.precision == "int8":
        if options.calibrate is None:
            raise LgadError("int8 is calibrated on training images: give --calibrate DATA, the folder of a data set.")
        images = _training_images(data[options.calibrate], torch_engine, options.images)
    export = build_onnx(student, plan, images, identity)
    with written(export, path, options.format) as draft:
        _compare(draft, torch_engine, options.precision, check)
        if check is not None:
            _score(draft, torch_engine, check, options)
        size, builds = draft.size, draft.engine_file.is_file()
    print(f"Wrote {path}, {size / 1e6:.2f} MB.")
    engine_file = path.with_suffix(".engine")
    if builds:
        print(f"Wrote {engine_file}, the engine for this machine's GPU.")
    elif path.suffix == ".onnx" and engine_file.is_file():
        print(f"{engine_file} belongs to an earlier {path.name}: remove it, or build it again.")
    if options.format == "tensorrt" and not builds:
        _tell_trtexec(path, options, torch_engine.info.preprocessing.input_size)


def _training_images(data: Any, torch_engine: Any, count: int) -> list[Any]:
    """Normalised images `(1, 3, height, width)`, spread over the training split."""
    import torch

    from lgad_lightning.data.spread import spread

    source = data.open("train")
    images = []
    for index in spread(len(source), most=count):
        pixels, _ = torch_engine.prepare(source.image(index), source.names[index])
        images.append(torch_engine.info.preprocessing.normalise(torch.from_numpy(pixels)[None]).numpy())
    return images


def _compare(draft: Any, torch_engine: Any, precision: str, data: Any) -> None:
    from lgad_lightning.export.parity import LARGEST, LARGEST_SHARE, lane_parity, logits_difference, sample_frames
    from lgad_lightning.export.speed import seconds_of_a_frame

    frame = draft.export.frame
    source = data.open("test") if data is not None else None
    frames = [source.image(index) for index in range(min(4, len(source)))] if source is not None else None
    frames = frames or sample_frames((frame.height, frame.width))
    difference = logits_difference(draft.export.core, torch_engine, frames)
    engine = draft.engine()
    lanes = lane_parity(torch_engine, engine, frames)
    print(f"Logits differ by {difference:.1e} of the largest; {lanes.differing} of {lanes.points} lane points differ.")
    if not lanes.points:
        hint = ": give --check DATA" if data is None else ""
        print(f"There are no lanes in the frames that were tried, so no lanes were compared{hint}.")
    draft.note(logits_difference=difference)
    if precision == "fp32" and not difference <= LARGEST:
        raise LgadError(
            f"The exported network computes something else: its logits differ by {difference:.1e} of the largest, more "
            f"than {LARGEST:.0e}. Nothing was written; please report the network."
        )
    if precision == "fp32" and lanes.differing > LARGEST_SHARE * lanes.points:
        raise LgadError(
            f"The export finds other lanes: {lanes.differing} of {lanes.points} points differ, more than "
            f"{LARGEST_SHARE:.0%}. Nothing was written; please report the network."
        )
    before, after = seconds_of_a_frame([torch_engine, engine], frames[0])
    print(
        f"A frame takes {1000 * after:.1f} ms here, the checkpoint {1000 * before:.1f} ms ({before / after:.2f} times)."
    )


def _score(draft: Any, torch_engine: Any, data: Any, options: argparse.Namespace) -> None:
    from lgad_lightning.export.score import main_figure, official_figures

    engines = {"checkpoint": torch_engine, "export": draft.engine()}
    figures = {name: official_figures(engine, data, options.check_images) for name, engine in engines.items()}
    (name, before), (_, after) = (main_figure(figures[of]) for of in engines)
    draft.note(checked={"data": str(options.check), **figures})
    print(f"{name} on {options.check}: {before:.4f} of the checkpoint, {after:.4f} of the export.")
    if not abs(before - after) <= options.tolerance:
        raise LgadError(
            f"{name} differs by {abs(before - after):.4f}, more than --tolerance {options.tolerance}. Nothing was "
            "written: calibrate on more images, choose another --precision, or accept the difference."
        )


def _tell_trtexec(path: Path, options: argparse.Namespace, size: tuple[int, int]) -> None:
    from lgad_lightning.inference.tensorrt_engine import BATCHES

    engine = path.with_suffix(".engine")
    words = ["trtexec", f"--onnx={path}", f"--saveEngine={engine}", "--stronglyTyped", "--noTF32"]
    if options.dynamic:
        shape = f"3x{size[0]}x{size[1]}"
        words += [f"--{k}Shapes=image:{n}x{shape}" for k, n in zip(("min", "opt", "max"), BATCHES, strict=True)]
    print(
        "TensorRT builds its engine where it runs. Run this command there, or without this package:\n"
        f"  {shlex.join(words)}\n"
        f"Then compare there: lgad-predict {path} FRAMES gives the lanes that the engine's outputs must show."
    )


if __name__ == "__main__":
    main()
