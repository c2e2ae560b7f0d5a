"""Every place where this package knows more of torch, Lightning and litdata than they promise.

Each function is one such place. `tests/test_internals.py` fails when what it knows is no longer so.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from torch import Tensor, nn


def version_of(tensor: Tensor) -> int:
    """Count the changes in place that a tensor and its views have seen; autograd counts them.

    Args:
        tensor: Any tensor.

    Returns:
        The count.
    """
    return tensor._version


def unwrapped(network: nn.Module) -> nn.Module:
    """Take the network out of the wrapper that `Fabric.setup` puts around it, DDP's included.

    Args:
        network: Any network.

    Returns:
        The one that was given to `Fabric.setup`, or `network` itself.
    """
    inner: nn.Module = network._modules.get("_original_module") or network
    return inner


def is_compiled(module: nn.Module) -> bool:
    """Tell whether `torch.compile` has compiled any part of a module, and so does not notice hooks that come or go.

    Args:
        module: Any module.

    Returns:
        Whether one is wrapped (`torch.compile(net)`), compiled in place (`net.compile()`), or was a LightningModule
        that was given to `torch.compile`, which Lightning unwraps.
    """
    return getattr(module, "_compiler_ctx", None) is not None or any(
        "_orig_mod" in inner._modules or inner._compiled_call_impl is not None for inner in module.modules()
    )


def batches_done(trainer: Any) -> int:
    """Count the batches of the epoch at hand that a training has done, those before it was resumed included.

    Args:
        trainer: The trainer, in its fit.

    Returns:
        The count; 0 at the start of an epoch.
    """
    return int(trainer.fit_loop.epoch_loop.batch_progress.current.processed)


def logs_this_batch(trainer: Any, automatic: bool, batch_idx: int) -> bool:
    """Tell whether the trainer writes to its loggers after a training batch; it says so only within its loops.

    Args:
        trainer: The trainer, before the batch.
        automatic: Whether the module optimises automatically.
        batch_idx: The batch's number in its epoch.

    Returns:
        Whether a step is completed by the batch, and is one that is logged.
    """
    every: int = trainer.log_every_n_steps
    # The steps that the trainer counts for its loggers: of optimisers, or of batches with manual optimisation.
    steps = trainer.global_step if automatic else trainer.fit_loop.total_batch_idx
    completes_step = trainer.is_last_batch or (batch_idx + 1) % trainer.accumulate_grad_batches == 0
    return every > 0 and completes_step and (steps + 1) % every == 0


@contextmanager
def litdata_writer(litdata: Any, folder: Path, number: int, chunk_bytes: str) -> Iterator[Any]:
    """Write one of several parts of a data set, as litdata's own parallel writers do; see `merge_litdata`.

    Args:
        litdata: The package.
        folder: Where all parts go.
        number: Which of the parts it is, from 0.
        chunk_bytes: Size of a chunk.

    Yields:
        What items are assigned to by number, from 0.
    """
    rank = "DATA_OPTIMIZER_GLOBAL_RANK"  # by this variable a writer learns which of several it is
    os.environ[rank] = str(number)
    try:
        # The queue keeps it from printing which types it has found.
        writer = litdata.streaming.Cache(str(folder), chunk_bytes=chunk_bytes, msg_queue=SimpleQueue())
        yield writer
        writer.done()
    finally:
        del os.environ[rank]


def merge_litdata(litdata: Any, folder: Path, parts: int, chunk_bytes: str) -> None:
    """Make one index of those of all parts.

    Args:
        litdata: The package.
        folder: Where they are.
        parts: How many there are.
        chunk_bytes: Size of a chunk.
    """
    litdata.streaming.Cache(str(folder), chunk_bytes=chunk_bytes).merge(parts)
