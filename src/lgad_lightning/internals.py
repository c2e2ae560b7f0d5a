"""Code that depends on what torch, Lightning, tqdm and litdata do not promise.

Each function is one such case. `tests/test_internals.py` fails if a library changes.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal

from torch import Tensor, nn
from tqdm import tqdm


def version_of(tensor: Tensor) -> int:
    """Return how often a tensor or a view of it was changed in place, as autograd counts it.

    Args:
        tensor: Any tensor.

    Returns:
        The count. 0 for tensors of inference mode, which have none.
    """
    return 0 if tensor.is_inference() else tensor._version


def unwrapped(network: nn.Module) -> nn.Module:
    """Return the network inside the wrapper of `Fabric.setup`, also with DDP.

    Args:
        network: Any network.

    Returns:
        The network that was given to `Fabric.setup`, or `network` itself.
    """
    return _inside(network, "_original_module")


def uncompiled(network: nn.Module) -> nn.Module:
    """Return the network inside the wrapper of `torch.compile(network)`.

    Args:
        network: Any network.

    Returns:
        The network that was given to `torch.compile`, or `network` itself.
    """
    return _inside(network, "_orig_mod")


def _inside(network: nn.Module, name: str) -> nn.Module:
    inner = network._modules.get(name)
    return network if inner is None else inner


def uncompiled_name(name: str) -> str:
    """Return the name that a weight has without `torch.compile(network)`.

    Args:
        name: A key of a `state_dict`.

    Returns:
        The name without the parts that the wrapper adds.
    """
    return name.replace("_orig_mod.", "")


def is_compiled(module: nn.Module) -> bool:
    """Check whether a part of a module is compiled. Compiled code does not notice new or removed hooks.

    Args:
        module: Any module.

    Returns:
        Whether a part is wrapped (`torch.compile(net)`) or compiled in place (`net.compile()`), or whether a whole
        LightningModule was given to `torch.compile`, which Lightning unwraps.
    """
    return getattr(module, "_compiler_ctx", None) is not None or any(
        "_orig_mod" in inner._modules or inner._compiled_call_impl is not None for inner in module.modules()
    )


def steps_of(trainer: Any) -> float:
    """Count the optimiser steps of the whole training.

    Args:
        trainer: The trainer, during a fit.

    Returns:
        A whole number, or infinity if it is not known: `max_epochs=-1`, or a data loader without a length. For the
        latter, Lightning counts -1.
    """
    steps: float = trainer.estimated_stepping_batches
    return steps if steps >= 0 else float("inf")


def batches_done(trainer: Any) -> int:
    """Count the finished batches of the current epoch, including those before the training was resumed.

    Args:
        trainer: The trainer, during a fit.

    Returns:
        The count. It is 0 at the start of an epoch.
    """
    return int(trainer.fit_loop.epoch_loop.batch_progress.current.processed)


def replaced_checkpoints(trainer: Any) -> Iterator[tuple[Path, list[str]]]:
    """Find the checkpoints that a fit would replace. By default, Lightning looks for a free name instead.

    Args:
        trainer: The trainer, before a fit.

    Yields:
        A folder, and patterns of names without their ending, for each callback that replaces files.
    """
    for callback in trainer.checkpoint_callbacks:
        if getattr(callback, "_enable_version_counter", True) or callback.dirpath is None:
            continue
        names = [re.sub(r"\{.*?\}", "*", escape(callback.filename)) if callback.filename else "*"]
        yield Path(callback.dirpath), names + ["last"] * bool(callback.save_last)


def resume_behind_epochs(trainer: Any) -> None:
    """Make a training with `max_steps` continue behind the last finished epoch, as one without it does.

    Otherwise, Lightning enters that epoch again: it trains one more batch of it, or counts its batches as done.

    Args:
        trainer: The trainer, before a fit.
    """
    trainer.fit_loop._iteration_based_training = lambda: False


def starts_processes_as(trainer: Any) -> Literal["commands", "copies"] | None:
    """Return how a trainer starts the processes of its other devices.

    Args:
        trainer: The trainer.

    Returns:
        `commands` if each runs the command of this process again (ddp), `copies` if each is a copy of this process
        (spawn, fork). None if the trainer starts none.
    """
    from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher  # `features` does not need lightning

    launcher = trainer.strategy.launcher
    if launcher is None:
        return None
    return "commands" if isinstance(launcher, _SubprocessScriptLauncher) else "copies"


def first_answer(trainer: Any, decide: Callable[[], bool]) -> bool:
    """Let the first process decide for all, if torchrun, Slurm or the like has started the processes of a trainer.

    Processes that the trainer starts itself come later, on this machine. They decide for themselves.

    Args:
        trainer: The trainer, before a fit.
        decide: Called in the process that decides.

    Returns:
        The answer, the same in all processes.
    """
    from lightning.fabric.plugins.environments.lightning import LightningEnvironment  # `features` does not need it

    environment = getattr(trainer.strategy, "cluster_environment", None)
    if trainer.world_size == 1 or environment is None or isinstance(environment, LightningEnvironment):
        return decide()
    trainer.strategy.setup_environment()  # connects the processes; the fit finds them connected
    return bool(trainer.strategy.broadcast(decide() if trainer.is_global_zero else False))


def steps_due(trainer: Any) -> int:
    """Return how much of the training is done, as a number of the steps that `steps_of` counts.

    It is `global_step`, except if the trainer counts other steps: with several optimisers, or if gradient accumulation
    changes during the training.

    Args:
        trainer: The trainer, during a fit whose length is known.

    Returns:
        The count. All batches of all epochs, or `max_steps`, are the whole training.
    """
    total, batches, epochs = int(steps_of(trainer)), trainer.num_training_batches, trainer.max_epochs
    due = [0]
    if trainer.max_steps > 0:
        due.append(trainer.global_step * total // trainer.max_steps)
    if 0 < batches < float("inf") and epochs > 0:
        done = trainer.current_epoch * batches + batches_done(trainer)
        due.append(done * total // (batches * epochs))
    return max(due)


def epochs_begun(trainer: Any) -> int:
    """Count the epochs of the whole training, the current one included.

    Args:
        trainer: The trainer, during or after a fit.

    Returns:
        The count. `current_epoch` is one less during an epoch, but not after the fit.
    """
    return int(trainer.fit_loop.epoch_progress.current.started)


def logs_this_batch(trainer: Any, automatic: bool, batch_idx: int) -> bool:
    """Check whether the trainer writes to its loggers after a training batch.

    Args:
        trainer: The trainer, before the batch.
        automatic: Whether the module optimises automatically.
        batch_idx: The batch's number in its epoch.

    Returns:
        Whether the batch completes a step, and this step is logged.
    """
    every: int = trainer.log_every_n_steps
    # For its loggers, the trainer counts optimiser steps; with manual optimisation, it counts batches.
    steps = trainer.global_step if automatic else trainer.fit_loop.total_batch_idx
    completes_step = trainer.is_last_batch or (batch_idx + 1) % trainer.accumulate_grad_batches == 0
    return every > 0 and completes_step and (steps + 1) % every == 0


def open_bars() -> list[Any]:
    """List the progress bars of `tqdm` that are drawn at the moment."""
    return list(tqdm._instances)


@contextmanager
def litdata_writer(litdata: Any, folder: Path, number: int, chunk_bytes: str) -> Iterator[Any]:
    """Write one of several parts of a data set, as the parallel writers of litdata do; see `merge_litdata`.

    Args:
        litdata: The package.
        folder: The folder of all parts.
        number: The number of the part, from 0.
        chunk_bytes: The size of a chunk.

    Yields:
        The writer. Items are assigned to it by number, from 0.
    """
    rank = "DATA_OPTIMIZER_GLOBAL_RANK"  # this variable tells a writer its number
    os.environ[rank] = str(number)
    try:
        # With the queue, it does not print the types that it has found.
        writer = litdata.streaming.Cache(str(folder), chunk_bytes=chunk_bytes, msg_queue=SimpleQueue())
        yield writer
        writer.done()
    finally:
        del os.environ[rank]


def merge_litdata(litdata: Any, folder: Path, parts: int, chunk_bytes: str) -> None:
    """Merge the indices of all parts into one.

    Args:
        litdata: The package.
        folder: The folder of the parts.
        parts: The number of parts.
        chunk_bytes: The size of a chunk.
    """
    litdata.streaming.Cache(str(folder), chunk_bytes=chunk_bytes).merge(parts)
