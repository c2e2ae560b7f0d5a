"""What both metrics share: identity of images, order, processes, copies."""

import copy
import itertools
import pickle

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.utils.data import DistributedSampler

from lgad_lightning.lanes import CULANE_SIZE, TUSIMPLE_ROWS, TUSIMPLE_SIZE, Lane
from lgad_lightning.metrics import CULaneF1, TuSimpleAccuracy

NUM_IMAGES = 11  # odd: a sampler for two processes repeats one image
SCENARIOS = ["normal", "cross", "night"]


def culane_image(index):
    rng = np.random.default_rng(index)
    target = [Lane([[x, 590], [x / 2 + 400, 300]], CULANE_SIZE) for x in rng.uniform(0, 1640, index % 4)]
    preds = [Lane(lane.points + rng.normal(0, 8, 2), CULANE_SIZE) for lane in target[: 1 + index % 3]]
    scenario = SCENARIOS[0] if index < 6 else SCENARIOS[index % 3]
    return {"preds": preds, "target": target, "images": f"{index}.jpg", "scenarios": scenario}


def tusimple_image(index):
    rng = np.random.default_rng(index)
    y = np.array(TUSIMPLE_ROWS)
    target = [Lane(np.stack([x + y / 3, y], axis=1), TUSIMPLE_SIZE) for x in rng.uniform(0, 1280, 1 + index % 5)]
    preds = [Lane(lane.points + rng.normal(0, 12, lane.points.shape) * [1, 0], TUSIMPLE_SIZE) for lane in target]
    return {"preds": preds, "target": target, "images": f"{index}.jpg"}


METRICS = {"culane": (CULaneF1, culane_image), "tusimple": (TuSimpleAccuracy, tusimple_image)}


def update(metric, make_image, indices):
    """Add images in batches of two."""
    indices = list(indices)
    for start in range(0, len(indices), 2):
        images = [make_image(index) for index in indices[start : start + 2]]
        metric.update(**{key: [image[key] for image in images] for key in images[0]})
    return metric


def single_process(name):
    metric, make_image = METRICS[name]
    return update(metric(), make_image, range(NUM_IMAGES)).results()


def run_process(rank, world_size, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world_size)
    padded = DistributedSampler(range(NUM_IMAGES), world_size, rank, shuffle=False)
    uneven = range(NUM_IMAGES) if rank == 0 else []
    results = []
    for (name, (metric, make_image)), indices in itertools.product(METRICS.items(), (padded, uneven)):
        synced = update(metric(), make_image, indices)
        computed = {key: value.item() for key, value in synced.compute().items()}
        results.append((name, synced.results(), computed))
        synced.reset()
        assert synced.rows == []
    torch.save(results, f"{folder}/{rank}.pt")
    dist.barrier()  # torch 2.6 may wait forever if a group ends while its thread still frees a result
    dist.destroy_process_group()


def test_two_processes_give_the_result_of_one(tmp_path):
    """With a sampler that repeats an image, and if a process has no images."""
    mp.start_processes(run_process, args=(2, str(tmp_path)), nprocs=2, start_method="spawn")
    for rank in range(2):
        for name, results, computed in torch.load(tmp_path / f"{rank}.pt"):
            expected = single_process(name)
            assert results == expected
            assert computed.items() >= expected["total"].items()


@pytest.mark.parametrize("name", METRICS)
def test_an_image_counts_once(name):
    metric, make_image = METRICS[name]
    repeated = update(metric(), make_image, [*range(NUM_IMAGES), 0, 3, 3])
    assert repeated.results() == single_process(name)


def test_an_image_counts_in_each_of_its_scenarios():
    image = culane_image(3) | {"scenarios": "curve"}
    metric = CULaneF1()
    for scenario in ("curve", "night", "night"):
        metric.update(**{key: [value] for key, value in (image | {"scenarios": scenario}).items()})
    results = metric.results()
    assert results["scenarios"]["curve"] == results["scenarios"]["night"]
    assert results["total"]["tp"] == 2 * results["scenarios"]["curve"]["tp"] > 0


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda metric: pickle.loads(pickle.dumps(metric))])
def test_copies_go_on_where_the_original_was(name, duplicate):
    metric, make_image = METRICS[name]
    half = duplicate(update(metric(), make_image, range(5)))
    assert update(half, make_image, range(5, NUM_IMAGES)).results() == single_process(name)


@pytest.mark.parametrize("name", METRICS)
def test_calling_the_metric_scores_the_batch_and_adds_it(name):
    metric, make_image = METRICS[name]
    called = metric()
    for index in range(NUM_IMAGES):
        image = {key: [value] for key, value in make_image(index).items()}
        alone = update(metric(), make_image, [index]).compute()
        assert called(**image) == alone
    assert called.results() == single_process(name)


@pytest.mark.parametrize("name", METRICS)
def test_reset_forgets_everything(name):
    metric, make_image = METRICS[name]
    used = update(metric(), make_image, range(3))
    used.reset()
    assert update(used, make_image, range(NUM_IMAGES)).results() == single_process(name)


@pytest.mark.parametrize("name", METRICS)
def test_an_image_costs_a_few_integers(name):
    metric, make_image = METRICS[name]
    used = update(metric(), make_image, range(NUM_IMAGES))
    assert sum(rows.numel() for rows in used.rows) == 6 * NUM_IMAGES
