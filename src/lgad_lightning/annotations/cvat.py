"""Reads CVAT's XML "for images": one file with many images that have `<polyline points="x,y;x,y">`, `<polygon ...>`."""

import re
from array import array
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Collection
from mmap import ACCESS_READ, mmap
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from lgad_lightning.annotations.json_files import check_length, read_part, reading
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
from lgad_lightning.lanes.compact_strings import Strings
from lgad_lightning.lanes.lists import check_image_name

_LARGEST_OUTLINE = 1 << 26  # largest number of bytes of a file outside its images
_STOP = re.compile(rb"<(image(?=[\s/>])|/image\s*+>|!--|!\[CDATA\[|\?|!)")
_SKIPPED = {b"!--": b"-->", b"![CDATA[": b"]]>", b"?": b"?>"}
_TAG = re.compile(rb"""<image((?:\s++[^\s=<>"'/]++\s*+=\s*+(?:"[^"<]*+"|'[^'<]*+'))*+)\s*+(/?)>""")
_ATTRIBUTE = re.compile(rb"""([^\s=]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")


class CvatRecords:
    """A file of CVAT. An image is read only when it is needed.

    The lanes of an image are its polylines, and the lines in the middle of its polygons.

    Args:
        path: The file, in UTF-8.
        categories: The labels that are lanes. None: all labels.

    Attributes:
        names: The names of the images.

    Raises:
        LgadError: If it is not a CVAT file. The message gives the image, if it is the cause.
    """

    def __init__(self, path: Path, categories: Collection[str] | None = None) -> None:
        self.path, self.categories = path, categories
        if not check_length(path):
            raise LgadError(f"{path}: not XML: the file is empty.")
        if read_part(path, 0, 2) in (BOM_UTF16_BE, BOM_UTF16_LE):
            raise LgadError(f"{path}: not UTF-8 text, but UTF-16: save it as UTF-8.")
        with reading(path), path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
            self.names, self._starts, self._ends, labels = _find_images(content, path)
        if categories is not None and labels and not labels & set(categories):
            found = ", ".join(sorted(labels))
            raise LgadError(f"{path}: none of its labels ({found}) is in categories={list(categories)}.")

    def record(self, index: int) -> ImageLanes:
        """Reads an image and its lanes.

        Args:
            index: Number of the image, from 0.

        Raises:
            LgadError: If the image is not valid, or has changed since the file was opened. The message gives the image
                and the shape.
        """
        where = f"{self.path}: image {index + 1}"
        image = _element(read_part(self.path, int(self._starts[index]), int(self._ends[index])), where)
        if image.get("name") != self.names[index]:
            raise LgadError(f"{where} has another name than when the file was opened.")
        shapes = enumerate((shape for shape in image if shape.tag in ("polyline", "polygon")), start=1)
        chosen = [(number, shape) for number, shape in shapes if wanted(shape.get("label"), self.categories)]
        check_number(chosen, where)
        lanes = []
        for number, shape in chosen:
            points = _points(shape.get("points", ""), f"{where}, shape {number}")
            lanes.append(points if shape.tag == "polyline" else middle_of_polygon(points, f"{where}, shape {number}"))
        size = stated_size(_whole(image.get("height")), _whole(image.get("width")))
        return ImageLanes(self.names[index], lanes, size=size)


def _find_images(content: mmap, path: Path) -> tuple[Strings, NDArray[np.int64], NDArray[np.int64], set[str]]:
    """Finds the names of the images, where their elements begin and end, and the labels that the file declares.

    In XML, `<` always begins a tag, except in comments and similar parts, which are skipped. The rest of the file
    without its images must be valid XML.
    """
    names: list[str] = []
    starts, ends = array("q"), array("q")
    outline = bytearray()
    place = 0
    while stop := _STOP.search(content, place):
        where = f"{path}: image {len(starts) + 1}"
        inside, place = len(starts) > len(ends), stop.end()
        if stop[1] == b"!":  # a document type can expand one line to gigabytes
            raise LgadError(f"{path}: declares a document type, which CVAT's files do not.")
        if stop[1] in _SKIPPED:
            place = content.find(_SKIPPED[stop[1]], place)
            if place < 0:
                raise LgadError(f"{path}: not XML: what begins at byte {stop.start()} has no end.")
        elif stop[1] != b"image" and inside:
            ends.append(place)
        elif stop[1] == b"image":
            if inside or (tag := _TAG.match(content, stop.start())) is None:
                raise LgadError(f"{where}: not XML: its tag is garbled, or it lies in another image.")
            between = content[ends[-1] if ends else 0 : stop.start()].strip()
            if between or not starts:
                outline += between + b"<image/>"
            names.append(_name(tag, where))
            starts.append(stop.start())
            if tag[2]:
                ends.append(tag.end())
    if len(starts) > len(ends):
        raise LgadError(f"{path}: not XML: image {len(starts)} has no end.")
    outline += content[ends[-1] if ends else 0 :].strip()
    if len(outline) > _LARGEST_OUTLINE:
        raise LgadError(f"{path}: {len(outline) >> 20} MB of it lie outside of images: it holds no annotations.")
    tree = _element(bytes(outline), f"{path}, outside of images")
    if tree.tag != "annotations" or tree.find("track") is not None:
        raise LgadError(f"{path}: not a file of CVAT 'for images': expected <annotations> with <image>s.")
    labels = {label.text or "" for label in tree.iterfind(".//label/name")}
    return Strings(names), np.array(starts, np.int64), np.array(ends, np.int64), labels


def _name(tag: re.Match[bytes], where: str) -> str:
    """The name of an image.

    Args:
        tag: The tag that begins the image.
        where: The file and place, for error messages.
    """
    given = {key: double or single for key, double, single in _ATTRIBUTE.findall(tag[1])}.get(b"name", b"")
    plain = given.isascii() and b"&" not in given
    name = given.decode() if plain else _element(b"<image%s/>" % tag[1], where).get("name")
    if not name:
        raise LgadError(f"{where} has no name.")
    check_image_name(name, where)
    return name


def _element(text: bytes, where: str) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(text, ElementTree.XMLParser(encoding="utf-8"))
    except (ElementTree.ParseError, ValueError) as error:
        raise LgadError(f"{where}: not XML: {error}.") from error


def _points(text: str, where: str) -> Polyline:
    try:
        points = [[float(value) for value in pair.split(",")] for pair in text.rstrip("; ").split(";")]
    except ValueError as error:
        raise LgadError(f"{where}: expected points='x,y;x,y;...'.") from error
    return polyline(points, where)


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else None
