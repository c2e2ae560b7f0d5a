from .decode import CULaneDecoder, GridDecoder, LaneGrid, TuSimpleDecoder
from .decode_mask import MaskDecoder
from .files import (
    TuSimpleFrame,
    parse_lines,
    prediction_name,
    read_lines,
    read_tusimple,
    tusimple_row,
    write_lines,
    write_tusimple,
)
from .lane import CULANE_SIZE, TUSIMPLE_ROWS, TUSIMPLE_SIZE, Frame, Lane
from .polynomial import smoothed
from .raster import IGNORE_INDEX, Patch, draw_lane, rasterise
from .slots import (
    CULANE_SLOTS,
    TUSIMPLE_SLOTS,
    culane_slots,
    flip_label,
    flip_slots,
    tusimple_slots,
)
from .spline import natural_spline
from .trace import trace_lane, trace_parts, trace_slots

__all__ = [
    "CULANE_SIZE",
    "CULANE_SLOTS",
    "IGNORE_INDEX",
    "TUSIMPLE_ROWS",
    "TUSIMPLE_SIZE",
    "TUSIMPLE_SLOTS",
    "CULaneDecoder",
    "Frame",
    "GridDecoder",
    "Lane",
    "LaneGrid",
    "MaskDecoder",
    "Patch",
    "TuSimpleDecoder",
    "TuSimpleFrame",
    "culane_slots",
    "draw_lane",
    "flip_label",
    "flip_slots",
    "natural_spline",
    "parse_lines",
    "prediction_name",
    "rasterise",
    "read_lines",
    "read_tusimple",
    "smoothed",
    "trace_lane",
    "trace_parts",
    "trace_slots",
    "tusimple_row",
    "tusimple_slots",
    "write_lines",
    "write_tusimple",
]
