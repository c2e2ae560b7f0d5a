"""The sources of frames: images, folders, patterns, lists, videos, cameras."""

import glob
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lgad_lightning.data.find_files import IMAGES, find_files, may_hold_data
from lgad_lightning.data.pixels import read_image
from lgad_lightning.errors import LgadError
from lgad_lightning.inference.video import Video, open_video
from lgad_lightning.lanes import prediction_name
from lgad_lightning.lanes.json_lines import read_json_lines
from lgad_lightning.lanes.lists import read_list

_LISTS = (".txt", ".json")
_VIDEOS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv")  # those that a pattern finds


class Shot(NamedTuple):
    """A frame on its way through a prediction.

    Attributes:
        name: The name of its outputs.
        image: `(H, W, 3)` uint8, blue-green-red. None if it cannot be read.
        error: The reason why it cannot be read.
    """

    name: str
    image: NDArray[np.uint8] | None
    error: str = ""


@dataclass(frozen=True)
class Images:
    """Image files, by name.

    Args:
        files: The files.
        h_samples: The rows in which a list of TuSimple asks for lanes, by name.
    """

    files: dict[str, Path]
    h_samples: dict[str, tuple[int, ...]] = field(default_factory=dict)
    endless: ClassVar[bool] = False

    def __len__(self) -> int:
        return len(self.files)

    def shots(self, done: Container[str]) -> Iterator[Shot]:
        """Reads the images, except those that are done."""
        for name, path in self.files.items():
            if name in done:
                continue
            try:
                yield Shot(name, read_image(path))
            except LgadError as error:
                yield Shot(name, None, str(error))


@dataclass(frozen=True)
class VideoShots:
    """The frames of a video, called `VIDEO/000000.jpg` and so on."""

    video: Video
    name: str

    @property
    def endless(self) -> bool:
        """Whether it is a camera, which is recorded until Ctrl-C."""
        return isinstance(self.video.source, int)

    def __len__(self) -> int:
        return self.video.length or 0

    def shots(self, done: Container[str]) -> Iterator[Shot]:
        """Reads all frames, even those that are done, because a video cannot be written from the middle."""
        for number, image in enumerate(self.video.frames()):
            yield Shot(f"{self.name}/{number:06}.jpg", image)


def open_sources(
    sources: Sequence[str], root: Path | None = None, stdin: Iterable[str] = ()
) -> list[Images | VideoShots]:
    """Opens the sources that the arguments of a command name.

    Args:
        sources: Images, folders, patterns, lists of images (`.txt` as in CULane, `.json` as in TuSimple), videos, `-`
            for paths on standard input, numbers of cameras. If the only source is a folder, its images have names
            relative to it. Images of a list have their names in the list. All others have the names that were given.
        root: The folder where the names of a list begin. None: it is searched among the folders above the list.
        stdin: The lines for `-`.

    Returns:
        The images, then the videos.

    Raises:
        LgadError: If a source is missing, holds no image, or is not a video, or if two images, or two videos, have the
            same name.
    """
    files: dict[str, Path] = {}
    rows: dict[str, tuple[int, ...]] = {}
    videos: list[VideoShots] = []
    for source in sources:
        path = Path(source)
        if source == "-":
            _add(files, {line: Path(line) for line in (line.rstrip("\r\n") for line in stdin) if line})
        elif path.is_dir():
            found = find_files(path, path)
            if not found:
                raise LgadError(f"{path} holds no images ({', '.join(IMAGES)}), nor do the folders in it.")
            _add(files, {name if len(sources) == 1 else (path / name).as_posix(): path / name for name in found})
        elif path.suffix.lower() in _LISTS and path.is_file():
            listed, asked = _listed(path, root)
            _add(files, listed)
            rows |= asked
        elif path.suffix.lower() in IMAGES and path.is_file():
            _add(files, {path.as_posix(): path})
        elif path.is_file():
            _add_video(videos, VideoShots(open_video(source), path.stem if len(sources) == 1 else path.as_posix()))
        elif source.isdecimal():
            _add_video(videos, VideoShots(open_video(int(source)), f"camera{source}"))
        elif matches := sorted(glob.glob(source, recursive=True)):  # noqa: PTH207  Path.glob takes no absolute ones
            for match in (Path(name) for name in matches if not _is_output(source, name)):
                if match.is_dir():
                    _add(files, {(match / name).as_posix(): match / name for name in find_files(match, match)})
                elif match.suffix.lower() in IMAGES:
                    _add(files, {match.as_posix(): match})
                elif match.suffix.lower() in _VIDEOS:
                    _add_video(videos, VideoShots(open_video(str(match)), match.as_posix()))
        else:
            raise LgadError(f"There is no image, folder, list or video {source}; check the path.")
    if not files and not videos:
        raise LgadError(f"There are no images or videos in {', '.join(sources)}: check the path.")
    return [*([Images(files, rows)] if files else []), *videos]


def _is_output(pattern: str, match: str) -> bool:
    """Whether a match of a pattern is in a folder of predictions or of a run that the pattern does not name."""
    named = next(folder for folder in Path(pattern).parents if not glob.has_magic(str(folder)))
    found = Path(match)
    folders = [found, *found.parents] if found.is_dir() else found.parents
    return any(named in folder.parents and not may_hold_data(folder) for folder in folders)


def _add(files: dict[str, Path], more: dict[str, Path]) -> None:
    """Adds images by name. A name may come again only for the same image."""
    for name, path in more.items():
        if files.setdefault(name, path).absolute() != path.absolute():
            raise LgadError(
                f"{files[name]} and {path} both have the name {name} in their lists, so their lanes would be one "
                "file: predict them one list after the other, each with its own --out."
            )


def _add_video(videos: list[VideoShots], more: VideoShots) -> None:
    """Adds a video. Its name may come again only for the same video."""
    for other in videos:
        if prediction_name(other.name) != prediction_name(more.name):
            continue
        if _file_of(other) == _file_of(more):
            return
        raise LgadError(
            f"The lanes of {other.video.source} and {more.video.source} would be in the same files: predict them one "
            "after the other, each with its own --out."
        )
    videos.append(more)


def _file_of(shots: VideoShots) -> Path | int:
    source = shots.video.source
    return source if isinstance(source, int) else Path(source).resolve()


def _listed(path: Path, root: Path | None) -> tuple[dict[str, Path], dict[str, tuple[int, ...]]]:
    """Finds the images of a list, and the rows in which it asks for lanes, by their names in the list."""
    rows: dict[str, tuple[int, ...]] = {}
    if path.suffix.lower() == ".json":
        records = read_json_lines(path)
        if not all(isinstance(record, dict) and isinstance(record.get("raw_file"), str) for record in records):
            raise LgadError(f"{path} is no list of images: each line must be a JSON object with a 'raw_file'.")
        names: Sequence[str] = [record["raw_file"] for record in records]
        for record in records:
            if (asked := record.get("h_samples")) is not None:
                if not isinstance(asked, list) or not all(type(row) is int for row in asked):
                    raise LgadError(f"{path}: the h_samples of {record['raw_file']} must be a list of whole numbers.")
                rows[record["raw_file"]] = tuple(asked)
    else:
        names = read_list(path)
    if not len(names):
        raise LgadError(f"The list {path} names no images.")
    roots = [root] if root else [*path.absolute().parents[:3], Path("/"), Path()]
    found = next((folder for folder in roots if (folder / names[0]).is_file()), None)
    if found is None:
        raise LgadError(
            f"{path}: there is no image {names[0]} in {roots[0]}{'' if root else ', nor in the folders above it'}. "
            "Give --root FOLDER, where the names of the list begin."
        )
    return {name: found / name for name in names}, rows
