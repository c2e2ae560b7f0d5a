"""What docs/methods.md tells people to write runs, and its table names every method."""

import math
import re
from typing import Any

import lightning as L

import lgad_lightning
from lgad_lightning.callbacks import FeatureDistillation
from tests.conftest import CHECKOUT

from .callbacks.distillation_toys import LAYERS, TEACHER_LAYERS, Module, Net, loader, make_batches, make_pair

TEXT = (CHECKOUT / "docs" / "methods.md").read_text()
WHOLE, BOTH = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def test_the_page_runs() -> None:
    net, label_teacher = make_pair()
    names: dict[str, Any] = {"L": L, "label_teacher": label_teacher, "teacher": Net(width=6)}
    names |= {"larger_teacher": Net(width=6), "student_layers": LAYERS, "label_teacher_layers": TEACHER_LAYERS}
    exec(WHOLE, names)
    quiet = "max_epochs=1, accelerator='cpu', logger=False, enable_checkpointing=False"
    exec(BOTH.replace("max_epochs=1", quiet), names)
    trainer = names["trainer"]
    trainer.fit(Module(net), loader(make_batches()))
    assert math.isnan(trainer.callback_metrics["lgad/loss"])  # its second half
    assert trainer.callback_metrics["logits/loss"] > 0


def test_every_method_is_in_the_table() -> None:
    family = {
        name
        for name in lgad_lightning.__all__
        if isinstance(kind := getattr(lgad_lightning, name), type) and issubclass(kind, FeatureDistillation)
    }
    assert set(re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE)) == family - {"FeatureDistillation"}
