"""`lgad-eval`: the official CULane and TuSimple figures of prediction files."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lgad_lightning import __version__
from lgad_lightning.commands.arguments import at_least, ratio, width_height
from lgad_lightning.commands.console import CommandParser, run_command
from lgad_lightning.commands.figures import print_breakdown, print_results
from lgad_lightning.commands.outputs import (
    check_distinct,
    check_output,
    csv_bytes,
    csv_with,
    json_bytes,
    json_with,
    write_output,
)
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes import CULANE_SLOTS, Lane, prediction_name, read_lines
from lgad_lightning.lanes.lists import read_list, scenario_name
from lgad_lightning.longwork.parallel import map_parallel
from lgad_lightning.metrics.functional import (
    MEAN_THRESHOLDS,
    Found,
    FrameScores,
    LaneCounts,
    add_up,
    count_found,
    counts_of_iou,
    culane_iou,
    culane_mean_f1,
    culane_scores,
    evaluate_tusimple,
    match_lanes,
    recall_by_part,
)
from lgad_lightning.metrics.functional.culane import IOU_THRESHOLD, LINE_WIDTH

_LARGEST = 16384  # pixels on a side of an image; the fixed-point coordinates of drawn lanes end there


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script.

    Args:
        arguments: The command line's arguments, those of this process if None.
    """
    options = _parser().parse_args(arguments)
    run_command("lgad-eval", lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    known = json_with("total", "scenarios", optional=frozenset({"unofficial", "breakdown"}))
    for path, recognise in ((options.json, known), (options.per_image, csv_with(*options.header))):
        if path is not None and not path.parent.is_dir():
            raise LgadError(f"There is no folder {path.parent} to write {path.name} to; make it first.")
        if path is not None:
            check_output(path, recognise, options.overwrite)
    check_distinct({"--json": options.json, "--per-image": options.per_image})
    options.run(options)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("lgad-eval", description="The official figures of lane predictions.")
    parser.add_argument("--version", action="version", version=f"lgad-eval {__version__}")
    protocols = parser.add_subparsers(required=True, metavar="{culane,tusimple}")

    culane = protocols.add_parser("culane", help="counts, precision, recall and F1 of .lines.txt files")
    culane.set_defaults(run=_culane, header=("image", "tp", "fp", "fn"))
    culane.add_argument("--pred", type=Path, required=True, metavar="DIR", help="folder of the predictions")
    culane.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the data set")
    culane.add_argument(
        "--list",
        type=Path,
        nargs="+",
        action="extend",
        metavar="FILE",
        help="lists of images, each a scenario (default: list/test_split/*.txt of the data set, else list/test.txt)",
    )
    culane.add_argument(
        "--width", type=at_least(1), default=LINE_WIDTH, help="thickness of the drawn lanes in pixels (default: 30)"
    )
    culane.add_argument(
        "--iou", type=ratio, default=IOU_THRESHOLD, help="a true positive's IoU is above it (default: 0.5)"
    )
    culane.add_argument(
        "--size", type=width_height, default="1640x590", metavar="WxH", help="size of the images (default: 1640x590)"
    )
    culane.add_argument("--workers", type=at_least(1), metavar="N", help="number of processes (default: one per core)")
    culane.add_argument(
        "--allow-missing",
        action="store_true",
        help="continue if all predictions, annotations or images are missing, as the official evaluator does",
    )
    culane.add_argument(
        "--mean-f1",
        action="store_true",
        help="also F1 at IoU 0.5, 0.55, ..., 0.95 and their mean, which are not part of the official protocol",
    )

    tusimple = protocols.add_parser("tusimple", help="accuracy, FP and FN of a JSON file")
    tusimple.set_defaults(run=_tusimple, header=("image", *FrameScores._fields))
    tusimple.add_argument("--pred", type=Path, required=True, metavar="FILE", help="predictions")
    tusimple.add_argument("--gt", type=Path, required=True, metavar="FILE", help="labels")
    tusimple.add_argument(
        "--size",
        type=width_height,
        default="1280x720",
        metavar="WxH",
        help="size of the images, for --breakdown (default: 1280x720)",
    )

    for protocol in (culane, tusimple):
        protocol.add_argument(
            "--breakdown",
            action="store_true",
            help="also the recall of each lane slot and by distance, which are not part of the official protocol",
        )
        protocol.add_argument("--json", type=Path, metavar="OUT", help="write the figures as JSON")
        protocol.add_argument("--per-image", type=Path, metavar="OUT.csv", help="write those of each image as CSV")
        protocol.add_argument(
            "--overwrite", action="store_true", help="also replace files that another program has written"
        )
    return parser


def _tusimple(options: argparse.Namespace) -> None:
    result = evaluate_tusimple(options.pred, options.gt, options.breakdown, options.size)
    for count, why in (
        (result.too_slow, "have a run_time above 200 (ms)"),
        (result.too_many, "have more than two lanes too many"),
    ):
        if count:
            _print_warning(
                f"{count} of {len(result.images)} predictions {why}: by the official rule these count as nothing, "
                "accuracy 0, FP 0 and FN 1, whatever their lanes are."
            )
    if repeated := len(result.images) - len({name for name, _ in result.images}):
        _print_warning(
            f"{repeated} of {len(result.images)} predictions are of an image that has one already, so as many labels "
            "may have none. The official rule counts only the lines."
        )
    rows = ([name, *scores] for name, scores in result.images)
    results: dict[str, Any] = {"total": result.total._asdict(), "scenarios": {}}
    if result.found is not None:
        results["breakdown"] = recall_by_part(result.found, options.size[0])
    _report(results, rows, options)


class _Settings(NamedTuple):
    pred: Path
    data: Path
    thresholds: tuple[float, ...]
    image_size: tuple[int, int]
    width: int
    breakdown: bool


class _Image(NamedTuple):
    counts: LaneCounts
    found: Found | None
    missing_pred: bool
    missing_target: bool
    odd_line: str | None


def _culane(options: argparse.Namespace) -> None:
    if options.width > max(options.size):
        raise LgadError(f"--width {options.width} is more than the images have pixels; lanes are drawn 30 pixels wide.")
    if max(options.size) > _LARGEST:
        raise LgadError(f"--size has more than {_LARGEST} pixels on a side: give that of the images, width x height.")
    for folder in (options.pred, options.data):
        if not folder.is_dir():
            raise LgadError(f"There is no folder {folder}; check --pred and --data.")
    scenarios = _read_lists(options.list or _default_lists(options.data))
    names = [name for images in scenarios.values() for name in images]
    if not names and not options.allow_missing:
        raise LgadError(f"No image is named in {', '.join(scenarios)}: check --list and --data.")
    thresholds = (options.iou, *MEAN_THRESHOLDS) if options.mean_f1 else (options.iou,)
    settings = _Settings(options.pred, options.data, thresholds, options.size, options.width, options.breakdown)

    images = map_parallel(partial(_evaluate, settings), names, "Evaluating", options.workers)
    _warn(names, images, options)

    num_preds = np.array([image.counts.num_preds for image in images], dtype=np.int64)
    num_target = np.array([image.counts.num_target for image in images], dtype=np.int64)
    tp = np.array([image.counts.tp for image in images], dtype=np.int64).reshape(-1, len(thresholds))
    ends = np.cumsum([0, *map(len, scenarios.values())]).tolist()
    parts = dict(zip(scenarios, map(slice, ends, ends[1:]), strict=True))

    def scores(part: slice) -> dict[str, Any]:
        return culane_scores(int(tp[part, 0].sum()), int(num_preds[part].sum()), int(num_target[part].sum()))

    results: dict[str, Any] = {"total": scores(slice(None))}
    results["scenarios"] = {scenario: scores(part) for scenario, part in parts.items()}
    if options.mean_f1:
        counts = tp[:, 1:].sum(axis=0).tolist()
        results["unofficial"] = culane_mean_f1(counts, int(num_preds.sum()), int(num_target.sum()), MEAN_THRESHOLDS)
    if options.breakdown and names:
        found = add_up(image.found for image in images if image.found is not None)
        results["breakdown"] = recall_by_part(found, options.size[0])
    rows = zip(names, tp[:, 0].tolist(), (num_preds - tp[:, 0]).tolist(), (num_target - tp[:, 0]).tolist(), strict=True)
    _report(results, rows, options)


def _default_lists(data: Path) -> list[Path]:
    splits = sorted(path for path in (data / "list" / "test_split").glob("*.txt") if path.name[0] != ".")
    return splits or [data / "list" / "test.txt"]


def _read_lists(paths: Sequence[Path]) -> dict[str, Sequence[str]]:
    """The images of each list, by the scenario's name."""
    scenarios: dict[str, Sequence[str]] = {}
    for path in paths:
        if not path.is_file():
            raise LgadError(f"There is no list {path}; give --list.")
        name = scenario_name(path)
        if name in scenarios:
            raise LgadError(f"{path}: another list is of the scenario {name} too; give it another file name.")
        try:
            scenarios[name] = read_list(path)
        except UnicodeDecodeError as error:
            raise LgadError(f"{path} is no text file ({error.reason} at byte {error.start}); check --list.") from error
    return scenarios


def _pred_file(folder: Path, name: str) -> Path:
    return folder / prediction_name(name)


def _target_file(folder: Path, name: str) -> Path:
    return folder / Path(name).with_suffix(".lines.txt")


def _evaluate(settings: _Settings, name: str) -> _Image:
    preds, missing_pred, odd_line = _read(_pred_file(settings.pred, name), settings.image_size)
    target, missing_target, odd_target = _read(_target_file(settings.data, name), settings.image_size)
    iou = culane_iou(preds, target, settings.image_size, settings.width)
    counts = counts_of_iou(iou, settings.thresholds)
    found = None
    if settings.breakdown:
        right = {row for row, column in match_lanes(iou) if iou[row, column] > settings.thresholds[0]}
        found = count_found(preds, target, [row in right for row in range(len(target))], CULANE_SLOTS)
    return _Image(counts, found, missing_pred, missing_target, odd_line or odd_target)


def _read(path: Path, image_size: tuple[int, int]) -> tuple[list[Lane], bool, str | None]:
    """Reads the lanes of a file, whether it is missing, and what the official evaluator skips without a message."""
    try:
        return read_lines(path, image_size), False, None
    except LgadError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return [], True, None
        return read_lines(path, image_size, strict=False), False, str(error)


def _warn(names: Sequence[str], images: Sequence[_Image], options: argparse.Namespace) -> None:
    """Warn about what the official evaluator ignores without a message. Refuse to score if all files are missing."""
    for missing, kind, folder, file in (
        (sum(image.missing_pred for image in images), "prediction", options.pred, _pred_file),
        (sum(image.missing_target for image in images), "annotation", options.data, _target_file),
    ):
        if missing and missing == len(images) and not options.allow_missing:
            first = file(folder, names[0])
            raise LgadError(
                f"None of the {missing} {kind} files is in {folder}; the first looked for was {first}. Check --pred, "
                "--data and --list, or give --allow-missing to count all of them as without lanes."
            )
        if missing:
            _print_warning(f"{missing} of {len(images)} {kind} files are missing in {folder}: taken as without lanes.")
    if repeated := len(names) - len(set(names)):
        _print_warning(
            f"{repeated} of {len(names)} images are in the lists before: by the official rule they count again."
        )
    odd = [image.odd_line for image in images if image.odd_line]
    if odd:
        _print_warning(f"{len(odd)} images have lines that are read in part only, the first: {odd[0]}")


def _print_warning(text: str) -> None:
    print(f"lgad-eval: warning: {text}", file=sys.stderr)


def _report(results: dict[str, Any], rows: Iterable[Sequence[Any]], options: argparse.Namespace) -> None:
    print_results(results)
    if "unofficial" in results:
        print(
            "Not part of the official protocol:",
            *(f"{key} {value:.4f}" for key, value in results["unofficial"].items()),
        )
    if "breakdown" in results:
        print_breakdown(results["breakdown"])
    if options.json is not None:
        write_output(options.json, json_bytes(results))
    if options.per_image is not None:
        write_output(options.per_image, csv_bytes([options.header, *rows]))


if __name__ == "__main__":
    main()
