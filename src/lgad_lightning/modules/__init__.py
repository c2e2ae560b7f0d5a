from lgad_lightning.modules.base import LaneModule, SchedulerCallable
from lgad_lightning.modules.loading import begin_with, load_student
from lgad_lightning.modules.schedule import PolyLR, poly_factor
from lgad_lightning.modules.student import LaneResult, LaneStudent
from lgad_lightning.modules.teacher import LaneTeacher, encode_label, load_teacher

__all__ = [
    "LaneModule",
    "LaneResult",
    "LaneStudent",
    "LaneTeacher",
    "PolyLR",
    "SchedulerCallable",
    "begin_with",
    "encode_label",
    "load_student",
    "load_teacher",
    "poly_factor",
]
