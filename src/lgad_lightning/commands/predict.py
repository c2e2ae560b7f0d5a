"""`lgad-predict`: finds lanes in images and videos."""

import argparse
import io
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lgad_lightning import __version__
from lgad_lightning.commands.arguments import at_least
from lgad_lightning.commands.console import CommandParser, run_command, tidy_on_sigterm

_HINT = "; the same command with --resume goes on from here"


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script.

    Args:
        arguments: The command line's arguments, those of this process if None.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="lgad-predict: warning: %(message)s", level=logging.WARNING)
    run_command("lgad-predict", lambda: _run(options), _HINT)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("lgad-predict", description="Find lanes in images and videos.")
    parser.add_argument("--version", action="version", version=f"lgad-predict {__version__}")
    parser.add_argument(
        "model", metavar="MODEL", help="checkpoint, folder of a run or of a saved student, or a file of lgad-export"
    )
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="image, folder, pattern, list (.txt, .json), video, - (paths on standard input) or number of a camera",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("predictions"), metavar="DIR", help="folder to write (default: predictions)"
    )
    parser.add_argument(
        "--write",
        nargs="+",
        action="extend",
        choices=("lines", "tusimple", "overlay"),
        help="what to write beside lanes.jsonl: CULane's .lines.txt, TuSimple's predictions.json, pictures or an .mp4 "
        "(default: the format of the model's protocol)",
    )
    parser.add_argument(
        "--root",
        type=Path,
        metavar="DIR",
        help="folder where the names of a list begin (default: one above the list)",
    )
    parser.add_argument(
        "--batch-size",
        type=at_least(1),
        default=8,
        metavar="N",
        help="frames the network sees at once (default: 8)",
    )
    parser.add_argument("--device", help="cpu, cuda, ... (default: cuda where there is one)")
    parser.add_argument("--smooth", action="store_true", help="also record a smooth curve of each lane")
    parser.add_argument(
        "--track",
        action="store_true",
        help="number and smooth lanes of videos (against the protocols)",
    )
    parser.add_argument(
        "--on-error", choices=("skip", "raise"), default="skip", help="what to do with a broken image (default: skip)"
    )
    parser.add_argument("--resume", action="store_true", help="continue the predictions that are in the folder")
    parser.add_argument("--overwrite", action="store_true", help="remove the predictions that are in the folder")
    return parser


@tidy_on_sigterm()
def _run(options: argparse.Namespace) -> None:
    # Imported here, because --help should not wait for torch.
    import torch

    from lgad_lightning.data.prediction_files import check_names
    from lgad_lightning.errors import LgadError
    from lgad_lightning.inference.folder import open_folder
    from lgad_lightning.inference.open_model import open_engine
    from lgad_lightning.inference.outputs import Outputs
    from lgad_lightning.inference.run import predict_sources
    from lgad_lightning.inference.sources import Images, open_sources
    from lgad_lightning.lanes import TUSIMPLE_ROWS
    from lgad_lightning.longwork.parallel import progress_bar

    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # names of files need not be UTF-8
    sources = open_sources(options.sources, options.root, sys.stdin if "-" in options.sources else ())
    for source in sources:
        if isinstance(source, Images):
            check_names(source.files)
        if options.resume and source.endless:
            raise LgadError("A camera does not show its frames again: give another --out instead of --resume.")
    engine = open_engine(options.model, options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    kinds = options.write or ["tusimple" if engine.info.protocol == "tusimple" else "lines"]
    made_by = {
        "model": engine.info.identity, "track": options.track, "smooth": options.smooth, "write": sorted(kinds),
        "sources": [_meaning(text) for text in options.sources],
    }  # fmt: skip
    if options.root is not None:
        made_by["root"] = os.path.realpath(options.root)
    records = open_folder(options.out, made_by, options.resume, options.overwrite)
    if records:
        print(f"Going on after {len(records)} frames.", file=sys.stderr)
    h_samples = getattr(engine.info.decoder, "h_samples", TUSIMPLE_ROWS)
    asked = {name: rows for source in sources if isinstance(source, Images) for name, rows in source.h_samples.items()}
    total = None if any(not len(source) for source in sources) else sum(map(len, sources))
    with (
        Outputs(options.out, kinds, records, h_samples, asked, options.smooth) as outputs,
        progress_bar() as progress,
    ):
        images = {name for source in sources if isinstance(source, Images) for name in source.files}
        task = progress.add_task("Predicting", total=total, completed=len(outputs.done.keys() & images))
        summary = predict_sources(
            engine,
            sources,
            outputs,
            options.batch_size,
            options.track,
            options.on_error,
            lambda: progress.advance(task),
        )
        outputs.finish(summary)
    _report(summary, options.out)


def _meaning(source: str) -> str:
    """A source as an absolute path, because a name means other images in another folder."""
    if source == "-":
        return f"- in {Path.cwd()}"
    if os.path.exists(source):  # noqa: PTH110  Path.exists raises for names that are too long
        return os.path.realpath(source)
    return source if source.isdecimal() else os.path.abspath(source)  # noqa: PTH100  a pattern is no path


def _report(summary: dict[str, Any], folder: Path) -> None:
    phases = ", ".join(f"{name} {rate}" for name, rate in summary["frames_per_second_of_phase"].items())
    before = f", {summary['frames_before']} before" if summary["frames_before"] else ""
    print(
        f"{summary['frames']} frames{before} in {summary['seconds']} s, {summary['frames_per_second']} a second (each "
        f"phase alone: {phases or '-'}), {len(summary['skipped'])} skipped."
    )
    print(f"Wrote {folder}.")


if __name__ == "__main__":
    main()
