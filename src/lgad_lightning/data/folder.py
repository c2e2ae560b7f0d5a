from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from lgad_lightning.annotations.records import RECORDS, open_records
from lgad_lightning.data.annotated import AnnotatedSource, RecordsSource
from lgad_lightning.data.base import LaneDataModule
from lgad_lightning.data.division import divide, read_shares
from lgad_lightning.data.find_files import IMAGES, find_files
from lgad_lightning.data.masks import MaskValues, check_mask_values
from lgad_lightning.data.placement import LINES, MASKS, Placement, check_stems, find_placement
from lgad_lightning.data.protocol import OWN
from lgad_lightning.data.source import SPLITS, LaneSource, Split
from lgad_lightning.errors import LgadError
from lgad_lightning.lanes.compact_strings import Strings
from lgad_lightning.lanes.lists import read_pairs

NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
"""The possible names of the folders and files of each split."""

_STROKE = 16 / 1640  # CULane's
_INSIDE = ("_annotations.coco.json", "annotations.json", "annotations.xml")  # in the folder with the images


class LaneFolderDataModule(LaneDataModule):
    """Your own images with polylines or masks as annotations, of any size and with any number of slots.

    Each split is a file that names images and lanes, a list of images, or a folder of images:

    ```
    ROOT/train.jsonl, .json, .xml   JSON lines, our own or TuSimple's; COCO's JSON; CVAT's XML
    ROOT/train.txt                  a list: an image a line, or an image and its annotation
    ROOT/train/**/<image>.jpg       each with its <image>.lines.txt, .lines.json (CurveLanes) or .json (labelme) beside
                                    it, or these or masks (.png, .bmp) in a folder in place of `images`, or with the
                                    same folders in it
    ```

    It is the same for `val` and `test`. The score is that of CULane (`CULaneF1`), or with `num_slots=1` that of pixels
    (`PixelF1`).

    Args:
        root: Folder of the data set.
        num_slots: Number of lane slots. It must be even (half of the slots for each side), unless the JSON lines have
            `slots` or there are masks. 1: all lanes are one class.
        stroke: Thickness of a lane in the label map, as a share of its width. None: 16 / 1640, or that of packed data.
        files: The files of each split, if their names do not show the split: `{"train": ["a.json", "b.json"]}`.
        split: Shares of train, val and test, like `0.8/0.1/0.1`. Whole clips are then assigned to the splits. They come
            from the files at the root if there are such, otherwise from all images. None: folders, lists or files
            already define the splits.
        annotations: Name of the folder of the annotations, in place of `images` or at the root. Give it if several
            folders are possible.
        mask_values: Maps values or colours of the masks to classes, like `{5: 1, 10: 2}` or `{"#ff0000": 1}`. None:
            the values are the classes. With one slot, 255 is also lane.
        categories: The labels that are lanes, in files of labelme, COCO and CVAT. None: all labels.
        options: The other arguments of `LaneDataModule`.

    Raises:
        LgadError: If a setting is out of its range, or if both `files` and `split` are given.

    Example:
        >>> LaneFolderDataModule("my_roads", num_slots=2, input_size=(256, 512)).num_classes
        3
    """

    protocol = OWN
    layout = "folder"
    markers = (
        *(f"{name}{kind}" for names in NAMES.values() for name in names for kind in ("", ".txt")),
        "images",
        *(f"*{ending}" for ending in (*RECORDS, *LINES, ".jpg", ".png")),
        "*/*.lines.*",
    )

    def __init__(
        self,
        root: str | Path,
        num_slots: int = 4,
        stroke: float | None = None,
        files: Mapping[str, str | Sequence[str]] | None = None,
        split: str | None = None,
        annotations: str | None = None,
        mask_values: MaskValues | None = None,
        categories: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(root, num_slots=num_slots, **options)
        if unknown := set(files or {}) - set(SPLITS):
            raise LgadError(f"files has {sorted(unknown)}; the splits are {', '.join(SPLITS)}.")
        if files and split is not None:
            raise LgadError("files and split both define the splits: give one of them.")
        if categories is not None and (isinstance(categories, str) or not categories):
            raise LgadError(f"categories must be a list of labels, like [lane], not {categories!r}.")
        if mask_values is not None:
            check_mask_values(mask_values, num_slots)
        self.stroke = stroke
        self.given = {part: [name] if isinstance(name, str) else list(name) for part, name in (files or {}).items()}
        self.shares = None if split is None else read_shares(split)
        self.annotations = annotations
        self.mask_values = mask_values
        self.categories = None if categories is None else [str(label) for label in categories]

    def source(self, split: Split) -> LaneSource:
        """The images and lanes of a split."""
        if not self.root.is_dir():
            raise LgadError(f"There is no folder {self.root}. {self.advice}")
        if self.shares is not None:
            return self._drawn(split, self.shares)
        if split in self.given:
            paths = [self.root / name for name in self.given[split]]
            if missing := [path for path in paths if not path.is_file()]:
                raise LgadError(f"There is no file {missing[0]} (files, {split}). {self.advice}")
            lists = [path for path in paths if path.suffix == ".txt"]
            if len(lists) not in (0, len(paths)) or not paths:
                raise LgadError(f"files, {split}: {self.given[split]} must be lists (.txt), or files that hold lanes.")
            return self._listed(lists) if lists else self._recorded(paths, split)
        if (found := self._find(split)) is None:
            raise LgadError(f"{self.root} has no {split} images. {self._way_on()} {self.advice}")
        if found.is_dir():
            return self._foldered(found)
        return self._listed([found]) if found.suffix == ".txt" else self._recorded([found], split)

    @property
    def reading(self) -> str:
        """The settings for masks, annotations and splits, as text. It is empty if there are none."""
        settings = (self.given, self.shares, self.annotations, self.mask_values, self.categories)
        return f" {settings}" if any(settings) else ""

    def open(self, split: Split) -> LaneSource:
        """Returns the images and labels of a split. Lanes are drawn with `stroke`."""
        source = super().open(split)
        if self.stroke is not None:
            source.stroke = self.stroke
        elif self.packed is None:
            source.stroke = _STROKE
        return source

    def _find(self, split: Split) -> Path | None:
        """The file or folder of a split, found by its name. None if there is none."""
        for name in NAMES[split]:
            for ending in (*RECORDS, ".txt"):
                if (path := self.root / f"{name}{ending}").is_file():
                    return path
            for folder in (self.root / name, self.root / "images" / name):
                if folder.is_dir():
                    return next((path for inside in _INSIDE if (path := folder / inside).is_file()), folder)
        return None

    def _way_on(self) -> str:
        """The part of an error message that says how to define the splits."""
        shown = [path.name for path in self._record_files()][:3]
        named = f"{self.root} holds {', '.join(shown)}: say" if shown else "Say"
        return (
            f"{named} which images are whose by names (a folder train/, a list train.txt, lanes in train.jsonl or "
            f"train.json), by files={{train: [{shown[0] if shown else 'a.json'}], ...}}, or have the splits drawn from "
            "whole clips: split=0.8/0.1/0.1 (lgad-data: --set split=0.8/0.1/0.1)."
        )

    def _record_files(self) -> list[Path]:
        """The files at the root that hold the lanes of many images."""
        paths = sorted(path for path in self.root.iterdir() if path.is_file() and path.name[0] != ".")
        images = {path.stem for path in paths if path.suffix.lower() in IMAGES}  # labelme's files lie beside these
        ours = [path for path in paths if path.suffix in RECORDS and not path.name.endswith(".lines.json")]
        return [path for path in ours if path.stem not in images]

    def _recorded(self, paths: Sequence[Path], split: Split | None) -> LaneSource:
        files = [open_records(path, self.num_slots, self.categories) for path in paths]
        return RecordsSource(self.root, files, self.num_slots, partial(self._folder_of, split=split))

    def _folder_of(self, name: str, path: Path, split: Split | None) -> str:
        """The folder below the root where the names in a file start, with a final slash. Empty for the root.

        For a file outside the root, it may be the absolute folder of the file.
        """
        parts = NAMES[split] if split is not None else ()
        places = ["", "images/", *(f"{part}/" for part in parts), *(f"images/{part}/" for part in parts)]
        if path.parent != self.root:
            beside = path.parent.relative_to(self.root) if path.is_relative_to(self.root) else path.parent
            places.append(f"{beside.as_posix()}/")
        return next((place for place in places if (self.root / f"{place}{name}").is_file()), "")

    def _listed(self, paths: Sequence[Path]) -> LaneSource:
        listed = [(path, *pair) for path in paths for pair in read_pairs(path)]
        names = [image for _, image, _ in listed]
        bare = [f"{path}: {image}" for path, image, place in listed if place is None]
        if len(bare) == len(listed):
            return self._placed(names)
        if bare:
            raise LgadError(
                f"{bare[0]} has no annotation beside it, as other images have: give one to every image, or to none."
            )
        places = Strings(str(place) for _, _, place in listed)
        masks = places[0].lower().endswith(MASKS)
        return self._annotated(names, *((None, places) if masks else (places, None)))

    def _foldered(self, folder: Path) -> LaneSource:
        names = find_files(self.root, folder)
        if inside := [name for name in names if "images" in name.split("/")[:-1]]:
            self._check_left_out(folder, set(names) - set(inside))
            names = inside  # the other .png files are masks
        elif folder == self.root:
            names = _without_masks(names)
        return self._placed([name for name in names if self.annotations not in name.split("/")[:-1]])

    def _check_left_out(self, folder: Path, names: set[str]) -> None:
        """Refuses images outside of the folders `images`, if they cannot be masks: they would not be used."""
        lanes = find_files(self.root, folder, LINES)
        drawn = {name.removesuffix(next(end for end in LINES if name.lower().endswith(end))) for name in lanes}
        if lost := [name for name in names if not name.lower().endswith(MASKS) or name.rpartition(".")[0] in drawn]:
            raise LgadError(
                f"{self.root}: some images are in folders `images` and {len(lost)} are not, like {min(lost)}. Only "
                "masks may be outside: move these images into folders `images`, or elsewhere, or rename the folders."
            )

    def _placed(self, names: Sequence[str]) -> LaneSource:
        check_stems(self.root, names)
        lines = find_placement(self.root, names, LINES, self.annotations)
        masks = find_placement(self.root, names, MASKS, self.annotations)
        if self.annotations is not None and names and not (lines or masks):
            raise LgadError(
                f"annotations={self.annotations}: no folder of this name has an annotation of {names[0]} or of other "
                f"images. It must be in {self.root} with the same folders inside, or take the place of a folder images."
            )
        return self._annotated(names, lines if lines or masks else Placement(".lines.txt"), masks)

    def _annotated(
        self, names: Sequence[str], lines: Placement | Strings | None, masks: Placement | Strings | None
    ) -> LaneSource:
        return AnnotatedSource(self.root, names, self.num_slots, lines, masks, self.mask_values, self.categories)

    def _drawn(self, split: Split, shares: tuple[float, ...]) -> LaneSource:
        """The images of a split, if the splits are made by shares."""
        if paths := self._record_files():
            files = [open_records(path, self.num_slots, self.categories) for path in paths]
            chosen = divide([name for file in files for name in file.names], shares)[split]
            folder = partial(self._folder_of, split=None)
            return RecordsSource(self.root, files, self.num_slots, folder, chosen)
        every = self._foldered(self.root)
        names = [every.names[index] for index in divide(every.names, shares)[split]]
        return self._placed(names)


def _without_masks(names: Sequence[str]) -> list[str]:
    """Leaves out the folders of masks beside the folders of images: with the same folders and names in them."""
    stems = {PurePosixPath(name).with_suffix("").as_posix() for name in names}
    tops: dict[str, list[PurePosixPath]] = {}
    for top, _, inside in (name.partition("/") for name in names):
        tops.setdefault(top, []).append(PurePosixPath(inside or top))
    masks = {
        top
        for top, inside in tops.items()
        if all(path.suffix.lower() in MASKS and path.with_suffix("").as_posix() in stems for path in inside)
        and PurePosixPath(top) not in inside
    }
    return [name for name in names if name.partition("/")[0] not in masks]
