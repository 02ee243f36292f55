"""What a machine has, and that nothing of it is given out twice."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from carbonq.domain.job import Requirement
from carbonq.workers.inventory import Gpu, GpuLocks, Inventory, find_gpus, memory_b

GIB = 2**30
A, B = Gpu("GPU-a", "NVIDIA A100", 40 * GIB), Gpu("GPU-b", "NVIDIA A100", 80 * GIB)


def nvml(*gpus: Gpu) -> Any:
    return SimpleNamespace(
        NVMLError=OSError,
        nvmlDeviceGetMigMode=lambda _: [0, 0],
        nvmlDeviceGetCount=lambda: len(gpus),
        nvmlDeviceGetHandleByIndex=lambda index: gpus[index],
        nvmlDeviceGetUUID=lambda gpu: gpu.uuid,
        nvmlDeviceGetName=lambda gpu: gpu.model.encode(),  # bytes, as older bindings give them
        nvmlDeviceGetMemoryInfo=lambda gpu: SimpleNamespace(total=gpu.memory_b),
    )


def test_capacity_promises_the_smallest_memory_of_its_gpus() -> None:
    capacity = Inventory(8, 64 * GIB, [A, B]).capacity
    assert (capacity.gpus, capacity.gpu_model, capacity.gpu_memory_b, capacity.cpus) == (2, "NVIDIA A100", 40 * GIB, 8)


def test_what_is_taken_is_not_free_until_it_is_given_back() -> None:
    inventory = Inventory(4, 10 * GIB, [A, B])
    holding = inventory.take(Requirement(gpus=1, cpus=3, memory_b=4 * GIB))
    assert holding is not None
    assert (inventory.free.gpus, inventory.free.cpus, inventory.free.memory_b) == (1, 1, 6 * GIB)
    assert inventory.take(Requirement(cpus=2)) is None
    assert inventory.take(Requirement(gpus=2)) is None
    assert inventory.take(Requirement(memory_b=7 * GIB)) is None
    other = inventory.take(Requirement(gpus=1))
    assert other is not None
    assert set(holding.gpu_uuids) | set(other.gpu_uuids) == {"GPU-a", "GPU-b"}
    inventory.give_back(holding)
    inventory.give_back(other)
    assert inventory.free == inventory.capacity


def test_an_attempt_found_running_keeps_the_gpus_it_had() -> None:
    inventory = Inventory(4, None, [A, B])
    inventory.adopt(Requirement(gpus=1), ["GPU-a"])
    holding = inventory.take(Requirement(gpus=1))
    assert holding is not None
    assert holding.gpu_uuids == ("GPU-b",)


def test_adopting_more_than_there_is_shows_nothing_free_and_never_less() -> None:
    inventory = Inventory(2)
    holding = inventory.adopt(Requirement(cpus=5), [])
    assert inventory.free.cpus == 0
    inventory.give_back(holding)
    assert inventory.free.cpus == 2


def test_gpus_of_the_most_frequent_model_are_offered() -> None:
    other = Gpu("GPU-c", "NVIDIA T4", 16 * GIB)
    assert find_gpus(nvml(other, A, B)) == (A, B)


def test_cuda_visible_devices_limits_a_worker_by_index_or_uuid() -> None:
    assert find_gpus(nvml(A, B), "1") == (B,)
    assert find_gpus(nvml(A, B), "GPU-a") == (A,)
    assert find_gpus(nvml(A, B), "") == ()


def test_a_gpus_lock_is_held_by_one_worker_and_by_whoever_inherits_it(tmp_path: Path) -> None:
    import os

    first, second = GpuLocks(tmp_path, tmp_path), GpuLocks(tmp_path, tmp_path)
    assert (first.take("GPU-a"), second.take("GPU-a"), second.take("GPU-b")) == (True, False, True)
    inherited = os.dup(first.fds(["GPU-a"])[0])
    first.close()
    assert not second.take("GPU-a")
    os.close(inherited)
    assert second.take("GPU-a")
    second.close()


def test_what_others_plant_in_the_shared_lock_folder_neither_hangs_nor_misleads(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "carbonq-GPU-a.lock")
    (tmp_path / "carbonq-GPU-b.lock").symlink_to(tmp_path / "elsewhere")
    locks = GpuLocks(tmp_path, tmp_path)
    assert (locks.take("GPU-a"), locks.take("GPU-b")) == (True, False)
    assert not (tmp_path / "elsewhere").exists()
    locks.close()


def test_memory_is_read_in_bytes(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:       2048 kB\nMemFree: 1 kB\n")
    assert memory_b(tmp_path / "meminfo") == 2048 * 1024
    assert memory_b(tmp_path / "missing") is None
