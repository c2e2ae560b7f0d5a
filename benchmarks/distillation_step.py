"""What a training step costs more under LGAD: CPU time and peak memory, as ratios to the plain step.

One fit alternates plain steps, distilled steps, and distilled steps with a balanced target, with the teacher in
bfloat16, with a teacher of half as many channels, and with such a teacher in bfloat16, so that all meet the same
conditions. Each ratio is that of a step to the plain one before it. Peak memory is measured in a process of its own for
each kind of step.

    python benchmarks/distillation_step.py --networks enet erfnet --rounds 10
"""

import argparse
import itertools
import logging
import multiprocessing
import os
import resource
import statistics
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import lightning as L
import torch
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader

from lgad_lightning import LabelGuidedAttentionDistillation, LaneStudent, LaneTeacher
from lgad_lightning.data import LaneBatch
from lgad_lightning.lanes import CULaneDecoder
from lgad_lightning.metrics import CULaneF1
from lgad_lightning.networks import ENet, ERFNet

NETWORKS = {"enet": ENet, "erfnet": ERFNet}
LAYOUTS = {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last}
KINDS = ("plain", "LGAD", "LGAD, balanced", "LGAD, bf16 teacher", "LGAD, small teacher", "LGAD, small bf16 teacher")
BARS = {"enet": (1.0, 1.17, 1.17, 1.10, 1.06, 1.06), "erfnet": (1.0, 1.20, 1.20, 1.14, 1.06, 1.06)}
SMALL = (8, 32, 64)  # half the channels of both networks
MEMORY_BAR = 1.10
LAYERS = ["network.encoder.stage1", "network.encoder.stage2", "network.encoder.stage3"]


class Turns(LabelGuidedAttentionDistillation):
    """Distils only in the steps of the given turn; a weight of 0 skips teacher and loss."""

    def __init__(self, turn: int, turns: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.turn = turn
        self.turns = turns

    def weight_at(self, step: int) -> float:
        """The weight in the steps of this turn, else 0."""
        return self.weight if step % self.turns == self.turn else 0.0


class StepTimer(L.Callback):
    """CPU seconds of every training step, all threads together."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_batch_start(self, *args: Any) -> None:
        """Starts the clock."""
        self.started = time.process_time()

    def on_train_batch_end(self, *args: Any) -> None:
        """Stops the clock."""
        self.seconds.append(time.process_time() - self.started)


def build(name: str, layout: str, options: argparse.Namespace) -> tuple[LaneStudent, LaneTeacher, LaneBatch]:
    """A student, a teacher of the same kind, and the batch of every step."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    height, width = options.size
    memory_format = LAYOUTS[layout]
    network = NETWORKS[name](input_size=(height, width)).to(memory_format=memory_format)  # type: ignore[call-overload]
    student = LaneStudent(network, CULaneDecoder(), CULaneF1())
    teacher = LaneTeacher(NETWORKS[name](in_channels=5, input_size=(height, width)))
    label = torch.zeros(options.batch, height, width, dtype=torch.long)
    for lane in range(1, 5):
        label[:, height // 3 :, width * lane // 5 :][:, :, :16] = lane
    batch: LaneBatch = {
        "image": torch.rand(options.batch, 3, height, width).contiguous(memory_format=memory_format),
        "label": label,
        "existence": torch.ones(options.batch, 4),
        "name": ["frame"] * options.batch,
    }
    return student, teacher, batch


def small(teacher: LaneTeacher) -> LaneTeacher:
    """A teacher of half as many channels."""
    network: Any = teacher.network
    return LaneTeacher(type(network)(**network.made_with | {"channels": SMALL}))


def fit(
    student: LaneStudent,
    teacher: LaneTeacher,
    batch: LaneBatch,
    kinds: Sequence[str],
    rounds: int,
    others: Sequence[L.Callback] = (),
) -> list[list[float]]:
    """Train with steps that take turns at being of the given kinds; the CPU seconds of each kind's steps."""
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    distillations = [
        Turns(
            turn,
            len(kinds),
            teacher=small(teacher) if "small" in kind else teacher,
            name=kind,
            balanced="balanced" in kind,
            bf16_teacher="bf16" in kind,
            student_layers=LAYERS,
        )
        for turn, kind in enumerate(kinds)
        if kind != "plain"
    ]
    timer = StepTimer()
    steps = len(kinds) * rounds
    trainer = L.Trainer(
        accelerator="cpu",
        max_steps=steps,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[*others, *distillations, timer],
    )
    trainer.fit(student, DataLoader([batch] * steps, batch_size=None))  # type: ignore[arg-type]
    return [timer.seconds[turn :: len(kinds)] for turn in range(len(kinds))]


def peak_mib(name: str, layout: str, kind: str, options: argparse.Namespace) -> float:
    """What three steps add to the process's peak memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fit(*build(name, layout, options), [kind], rounds=3)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def peaks_mib(name: str, layout: str, options: argparse.Namespace) -> list[float]:
    """The peak of each kind of step, each in a new process."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        return [pool.submit(peak_mib, name, layout, kind, options).result() for kind in KINDS]


def figures(seconds: Sequence[Sequence[float]]) -> list[tuple[str, str, str]]:
    """Each kind's median, and its ratio to the first kind's step of the same round: median and quartiles.

    The first round (folding of the teacher, first allocations) is left out.
    """
    rows = []
    for mine in seconds:
        ratios = [one / plain for one, plain in zip(mine[1:], seconds[0][1:], strict=True)]
        low, middle, high = (f"{ratio:.3f}" for ratio in statistics.quantiles(ratios, n=4))
        rows.append((f"{statistics.median(mine[1:]):.3f}", middle, f"{low}..{high}"))
    return rows


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The options of every benchmark of the training step."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=list(LAYOUTS))
    parser.add_argument("--size", nargs=2, type=int, default=(288, 800), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=10, help="steps of each kind")
    parser.add_argument("--threads", type=int, default=1)
    return parser


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--measure", nargs="+", choices=("memory", "time"), default=("memory", "time"))
    options = parser.parse_args()
    cases = list(itertools.product(options.networks, options.layouts))
    console = Console(width=120)

    # glibc hands freed tensors back at once, so that the peak is the tensors' and not the heap's.
    os.environ["MALLOC_MMAP_THRESHOLD_"] = "65536"
    memory = Table("network", "layout", "step", "MiB", "ratio", "bar", title="Peak memory of a training step")
    for name, layout in cases if "memory" in options.measure else ():
        peaks = peaks_mib(name, layout, options)  # before this process grows: a child's peak begins at its parent's
        for kind, peak in zip(KINDS, peaks, strict=True):
            memory.add_row(name, layout, kind, f"{peak:.0f}", f"{peak / peaks[0]:.3f}", f"{MEMORY_BAR:.2f}")
    if memory.row_count:
        console.print(memory)

    speed = Table("network", "layout", "step", "CPU s", "ratio", "quartiles", "bar", title="Time of a training step")
    for name, layout in cases if "time" in options.measure else ():
        seconds = fit(*build(name, layout, options), KINDS, rounds=options.rounds + 1)
        for kind, cells, bar in zip(KINDS, figures(seconds), BARS[name], strict=True):
            speed.add_row(name, layout, kind, *cells, f"{bar:.2f}")
    if speed.row_count:
        console.print(speed)


if __name__ == "__main__":
    main()
