"""Finds the places of the annotations of images."""

from collections.abc import Iterable, Iterator, Sequence
from os.path import isfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from lgad_lightning.data.find_files import IMAGES, may_hold_data
from lgad_lightning.errors import LgadError

LINES = (".lines.txt", ".lines.json", ".json")
MASKS = (".png", ".bmp")

_SAMPLED = 200  # images that are checked to find the place of the annotations


class Placement(NamedTuple):
    """Where the annotation of an image is.

    Attributes:
        suffix: The end of the annotation's name. It replaces the ending of the image.
        folder: Name of the folder of annotations. None: the annotation is in the folder of the image.
        mirrored: If true, `folder` is at the root and has the same folders in it as the root. If false, `folder`
            replaces the last folder `images` in the path of the image.
        of: The name of the folder `images`.
    """

    suffix: str
    folder: str | None = None
    mirrored: bool = False
    of: str = "images"

    def path(self, root: Path, name: str) -> Path:
        """The path of the annotation of an image.

        Args:
            root: Folder of the data set.
            name: Path of the image below the root.
        """
        image = PurePosixPath(name)
        parts = list(image.parent.parts)
        if self.folder is not None and self.mirrored:
            parts = [self.folder, *parts]
        elif self.folder is not None and self.of in parts:
            parts[len(parts) - 1 - parts[::-1].index(self.of)] = self.folder
        return root.joinpath(*parts, image.stem + self.suffix)


def check_stems(root: Path, names: Iterable[str]) -> None:
    """Refuses images that would have the same annotation, because their names differ in their endings only.

    Args:
        root: Folder of the data set.
        names: Paths of the images below the root.

    Raises:
        LgadError: If there are two such images. One of them may be the mask of the other.
    """
    seen: dict[PurePosixPath, str] = {}
    for name in names:
        if (other := seen.setdefault(PurePosixPath(name).with_suffix(""), name)) != name:
            raise LgadError(
                f"{root}: {other} and {name} would have the same annotation. If one is a mask, move the masks to a "
                f"folder of their own, like masks/{name}; otherwise rename one of them."
            )


def find_placement(
    root: Path, names: Sequence[str], suffixes: Sequence[str], folder: str | None = None
) -> Placement | None:
    """Finds where the annotations of images are. It checks up to 200 of the images.

    Args:
        root: Folder of the data set.
        names: Paths of the images below the root.
        suffixes: The possible ends of the annotations' names.
        folder: Name of the folder of the annotations. None: search for it.

    Returns:
        The place where most of the images have an annotation; places beside the images come first. None if no image
        has an annotation.

    Raises:
        LgadError: If two folders have annotations of the images, and there are none beside the images.
    """
    sample = names[:: max(1, len(names) // _SAMPLED)][:_SAMPLED]
    hits: dict[Placement, int] = {}
    inside = any("images" in PurePosixPath(name).parts[:-1] for name in sample)
    places = _places(root, sample) if folder is None else [(folder, True), *[(folder, False)] * inside]
    for place in dict.fromkeys(places):
        for suffix in (*suffixes, *(suffix.upper() for suffix in suffixes)):
            placement = Placement(suffix, *place)
            if placement.folder is None and suffix.lower() in IMAGES:
                continue  # beside an image lies another image
            # os.path, because Path.is_file fails in folders that cannot be entered, such as lost+found.
            if count := sum(isfile(placement.path(root, name)) for name in sample):  # noqa: PTH113
                hits[placement] = count
    folders = dict.fromkeys(placement.folder for placement in hits)
    if len(folders) > 1 and None not in folders:
        shown = " and ".join(f"{name}/" for name in folders)
        raise LgadError(f"{root}: {shown} hold annotations of the same images: choose one with annotations=FOLDER.")
    beside = {placement: count for placement, count in hits.items() if placement.folder is None}
    return max(beside or hits, key=hits.__getitem__, default=None)


def _places(root: Path, sample: Sequence[str]) -> Iterator[tuple[str | None, bool]]:
    """The possible values of `folder` and `mirrored`: beside the image, beside `images`, or (mirrored) at the root."""
    yield None, False
    for parent in dict.fromkeys(PurePosixPath(name).parent for name in sample):
        for ancestor in (parent, *parent.parents):
            if ancestor.name == "images":
                yield from ((path.name, False) for path in _folders(root / ancestor.parent) if path.name != "images")
                break
    used = {PurePosixPath(name).parts[0] for name in sample}
    yield from ((path.name, True) for path in _folders(root) if path.name not in used)


def _folders(place: Path) -> list[Path]:
    return sorted(path for path in place.iterdir() if path.is_dir() and may_hold_data(path)) if place.is_dir() else []
