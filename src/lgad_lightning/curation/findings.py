"""What a check of a data set can find."""

from typing import NamedTuple

ERRORS = {
    "split": "a split cannot be opened",
    "image": "an image is missing, damaged or no image",
    "lanes": "an annotation of lanes is missing or garbled",
    "label": "a mask is missing, damaged, of another size, has other values than classes, or ignores every lane",
    "names": "predictions for two images would be one file, since their names differ in their endings alone",
    "none": "no image of a split has a lane",
}
"""Kinds of findings that would make a training or test fail or go wrong."""

WARNINGS = {
    "damaged": "an image decodes, but parts of it may be garbage",
    "twice": "an image is listed twice, in one split or in two",
    "bits": "the existence bits of the list are not those of the label map",
    "disagree": "mask and lanes show other places or classes: annotations from before April 2018, or another image's",
    "unused": "an image has lanes that get no slot: to the network they are background",
    "duplicate": "two lanes of an image lie upon each other",
    "exchanged": "x and y of the lanes have changed places",
    "size": "the lanes are those of images of another size, or of a resized copy",
    "order": "left and right are exchanged: slots go from the left to the right of the image",
    "double": "a class holds two lanes, where each should have a class of its own",
    "thin": "a lane of a mask is thinner than a pixel of the network's input: parts of it vanish there",
    "empty": "no lane is annotated, but the mask shows some",
    "clip": "frames of one clip are in two splits: what is tested was nearly seen in training",
    "outside": "a lane has points far outside its image",
    "short": "a lane has fewer than two points",
    "count": "a split has another number of images or lanes than the official data set",
}
"""Kinds of findings that a person should look at."""


class Finding(NamedTuple):
    """A problem: its kind (see `ERRORS` and `WARNINGS`), the image or split, and a description."""

    kind: str
    name: str
    detail: str
