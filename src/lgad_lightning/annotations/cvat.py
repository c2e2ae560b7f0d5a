"""CVAT's XML "for images": one file for many images, each with `<polyline points="x,y;x,y">` and `<polygon ...>`."""

from collections.abc import Collection
from pathlib import Path
from xml.etree import ElementTree

from lgad_lightning.annotations.json_files import read_text
from lgad_lightning.annotations.polylines import (
    ImageLanes,
    Polyline,
    check_number,
    middle_of_polygon,
    polyline,
    stated_size,
    wanted,
)
from lgad_lightning.errors import LgadError


def read_cvat(path: Path, categories: Collection[str] | None = None) -> list[ImageLanes]:
    """The lanes of every image: its polylines, and the middles of its polygons.

    Args:
        path: The file.
        categories: The labels that are lanes; None for all.

    Raises:
        LgadError: If it is no file of CVAT; names image and shape.
    """
    text = read_text(path)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:  # which can make gigabytes of a line
        raise LgadError(f"{path}: declares a document type, which CVAT's files do not.")
    try:
        tree = ElementTree.fromstring(text.lstrip())
    except (ElementTree.ParseError, ValueError) as error:
        raise LgadError(f"{path}: no XML: {error}.") from error
    if tree.tag != "annotations" or tree.find("track") is not None:
        raise LgadError(f"{path}: no file of CVAT 'for images': expected <annotations> with <image>s.")
    found = []
    for number, image in enumerate(tree.iter("image"), start=1):
        if not (name := image.get("name")):
            raise LgadError(f"{path}: image {number} has no name.")
        shapes = [shape for shape in image if shape.tag in ("polyline", "polygon")]
        chosen = [pair for pair in enumerate(shapes, start=1) if wanted(pair[1].get("label"), categories)]
        check_number(chosen, f"{path}: image {number}")
        lanes = []
        for place, shape in chosen:
            where = f"{path}: image {number}, shape {place}"
            points = _points(shape.get("points", ""), where)
            lanes.append(points if shape.tag == "polyline" else middle_of_polygon(points, where))
        size = stated_size(_whole(image.get("height")), _whole(image.get("width")))
        found.append(ImageLanes(name, lanes, size=size))
    return found


def _points(text: str, where: str) -> Polyline:
    try:
        points = [[float(value) for value in pair.split(",")] for pair in text.split(";")]
    except ValueError as error:
        raise LgadError(f"{where}: expected points='x,y;x,y;...'.") from error
    return polyline(points, where)


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else None
