from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial

import lightning as L
import torch
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.utilities.types import STEP_OUTPUT, OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import Metric
from torchmetrics.classification import BinaryAccuracy, MulticlassJaccardIndex

from lgad_lightning.data import LaneBatch
from lgad_lightning.errors import LgadError
from lgad_lightning.internals import steps_of
from lgad_lightning.lanes import IGNORE_INDEX
from lgad_lightning.losses import LaneLoss
from lgad_lightning.modules.schedule import PolyLR
from lgad_lightning.networks import LaneOutput
from lgad_lightning.rebuildable import is_plain

SchedulerCallable = Callable[[Optimizer, int], LRScheduler]
"""Builds a learning-rate schedule from the optimiser and the number of optimiser steps of the training."""


SGD = partial(torch.optim.SGD, lr=0.01, momentum=0.9, weight_decay=1e-4)
"""The optimiser of the published CULane recipes."""


class LaneModule(L.LightningModule, ABC):
    """The base of teacher and student: losses, pixel metrics, optimiser and schedule.

    A subclass defines the input of its network in `network_input`. This class has no code for distillation: that is in
    the callbacks.

    The loss is weighted cross-entropy + `iou_weight` x soft IoU over the lane classes + `existence_weight` x binary
    cross-entropy of the existence logits. Validation and test log the loss and the mean IoU over the lane classes. If
    the network has an existence head, they also log its accuracy at probability 0.5.

    Args:
        network: Maps `(B, C, H, W)` to a `LaneOutput`. Its attribute `num_classes` includes the background.
        background_weight: Weight of the background class in the cross-entropy. Lanes have weight 1.
        iou_weight: Weight of the soft IoU loss.
        existence_weight: Weight of the lane-existence loss.
        optimizer: Builds the optimiser from the parameters. By default, that of the published CULane recipes.
        scheduler: Builds the schedule from the optimiser and the number of optimiser steps of the training. It is
            stepped at every optimiser step. None keeps the learning rate constant.

    Raises:
        LgadError: If the network has no attribute `num_classes`.
    """

    def __init__(
        self,
        network: nn.Module,
        background_weight: float = 0.4,
        iou_weight: float = 0.1,
        existence_weight: float = 0.1,
        optimizer: OptimizerCallable | None = None,  # a partial as default could not be saved by LightningCLI
        scheduler: SchedulerCallable | None = PolyLR,
    ) -> None:
        super().__init__()
        built = ["network", "decoder", "metric", "preprocessing", "optimizer", "scheduler", "label"]
        self.save_hyperparameters(ignore=built)  # which are objects or functions
        others = [name for name, value in self.hparams.items() if not is_plain(value)]  # objects of a subclass
        for name in others:
            del self.hparams[name]  # a checkpoint with them could not be read
        if others:
            self.save_hyperparameters(ignore=[*built, *others])  # again, because loggers get a copy
        num_classes = getattr(network, "num_classes", None)
        if not isinstance(num_classes, int):
            raise LgadError(
                f"{type(network).__name__} has no attribute num_classes: set it to the number of its classes, the "
                "background included."
            )
        self.num_classes = num_classes
        self.network = network
        self.loss = LaneLoss(background_weight, iou_weight, existence_weight)
        self.build_optimizer = optimizer or SGD
        self.build_scheduler = scheduler
        self.lane_iou = MulticlassJaccardIndex(
            num_classes, average=None, ignore_index=IGNORE_INDEX, zero_division=float("nan")
        )
        self.existence_accuracy = BinaryAccuracy()

    def setup(self, stage: str) -> None:
        """Compares the number of classes of the network with that of the data, and resets the metrics.

        The metrics may still hold batches of an interrupted evaluation, or inference tensors, which a fit cannot use.

        Args:
            stage: Not used.

        Raises:
            LgadError: If the numbers differ.
        """
        self.check_classes(getattr(getattr(self.trainer, "datamodule", None), "num_classes", self.num_classes))
        for metric in self.children():
            if isinstance(metric, Metric):
                metric.reset()

    def check_classes(self, found: int) -> None:
        """Compares the number of classes of the network with that of the data.

        Args:
            found: The number of classes of the data.

        Raises:
            LgadError: If the numbers differ.
        """
        if found != self.num_classes:
            raise LgadError(
                f"The network has {self.num_classes} classes, the data {found} (the lane slots and the background). "
                "Set num_classes for lgad-fit, num_classes of the network elsewhere, or num_slots of the data."
            )

    @abstractmethod
    def network_input(self, batch: LaneBatch) -> Tensor:
        """The input of the network for a batch, `(B, C, H, W)`."""

    def training_step(self, batch: LaneBatch, batch_idx: int) -> Tensor:
        """Computes the loss of one batch. Its terms are logged under `train/`."""
        terms = self.loss(self.network(self.network_input(batch)), batch["label"], batch["existence"])
        self.log_dict({f"train/{name}": term.detach() for name, term in terms.items()}, batch_size=len(batch["name"]))
        loss: Tensor = terms["loss"]
        return loss

    def validation_step(self, batch: LaneBatch, batch_idx: int) -> STEP_OUTPUT:
        """Updates the metrics that are logged under `val/`."""
        self.evaluation_step(batch, "val")
        return None

    def test_step(self, batch: LaneBatch, batch_idx: int) -> STEP_OUTPUT:
        """Updates the metrics that are logged under `test/`."""
        self.evaluation_step(batch, "test")
        return None

    def evaluation_step(self, batch: LaneBatch, split: str) -> LaneOutput:
        """Logs the loss and updates the pixel metrics of one batch.

        Args:
            batch: A batch with labels.
            split: `val` or `test`, the prefix in the log.

        Returns:
            The network's output.
        """
        output: LaneOutput = self.network(self.network_input(batch))
        loss = self.loss(output, batch["label"], batch["existence"])["loss"]
        self.log(f"{split}/loss", loss, batch_size=len(batch["name"]), sync_dist=True)
        self.lane_iou.update(output.logits, batch["label"])
        if output.existence is not None:
            self.existence_accuracy.update(output.existence.sigmoid(), batch["existence"].int())
        return output

    def on_validation_epoch_end(self) -> None:
        """Logs the metrics of the whole validation split."""
        self.log_metrics("val")

    def on_test_epoch_end(self) -> None:
        """Logs the metrics of the whole test split."""
        self.log_metrics("test")

    def log_metrics(self, split: str) -> None:
        """Computes, logs and resets the metrics.

        Args:
            split: `val` or `test`, the prefix in the log.
        """
        lanes = self.lane_iou.compute()[1:]  # NaN for a class that is neither in the labels nor predicted
        self.log(f"{split}/iou", lanes.nanmean().nan_to_num(), prog_bar=True, sync_dist=True)
        self.lane_iou.reset()
        if self.existence_accuracy.update_called:
            self.log(f"{split}/existence_accuracy", self.existence_accuracy.compute(), sync_dist=True)
            self.existence_accuracy.reset()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Makes the optimiser of the trainable parameters, and its schedule.

        Raises:
            LgadError: If there is a schedule, but the training has no known end.
        """
        optimizer = self.build_optimizer(parameter for parameter in self.parameters() if parameter.requires_grad)
        if self.build_scheduler is None:
            return optimizer
        steps = steps_of(self.trainer)
        if steps == float("inf"):
            raise LgadError(
                "The schedule of the learning rate needs the length of the training, which is not known: max_epochs is "
                "-1, or the data loader has no length. Set max_steps of the trainer, or scheduler to null (None in "
                "Python)."
            )
        scheduler = self.build_scheduler(optimizer, int(steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
