"""Batch geometry: from seconds of audio per update to clips, processes, micro-batches and accumulation."""

from dataclasses import dataclass

from musicssl.errors import UserError
from musicssl.pretraining.config.settings import OptimisationConfig


@dataclass(frozen=True)
class BatchGeometry:
    """One update = `accumulation` micro-batches of `micro_batch_clips` clips on each of `world_size` processes."""

    world_size: int
    micro_batch_clips: int
    accumulation: int
    crop_seconds: float

    @property
    def clips_per_update(self) -> int:
        return self.world_size * self.accumulation * self.micro_batch_clips

    @property
    def audio_seconds_per_update(self) -> float:
        return self.clips_per_update * self.crop_seconds

    def __str__(self) -> str:
        return (
            f"{self.world_size} process(es) x {self.accumulation} accumulation x {self.micro_batch_clips} clips x "
            f"{self.crop_seconds:g} s = {self.audio_seconds_per_update:g} s of audio per update"
        )


def wanted_clips_per_update(optimisation: OptimisationConfig, crop_seconds: float) -> int:
    """Crops in an update: whole ones in each device's share of the audio, as the reference packs them."""
    share_seconds = optimisation.audio_seconds_per_update / optimisation.packing_devices
    return optimisation.packing_devices * int(share_seconds / crop_seconds + 1e-9)


def derive_geometry(
    optimisation: OptimisationConfig, crop_seconds: float, world_size: int, largest_micro_batch: int
) -> BatchGeometry:
    """The geometry nearest to the wanted audio per update.

    Args:
        largest_micro_batch: clips that fit in memory at once; used when --micro_batch_clips is not given.

    Raises:
        UserError: the processes or the micro-batch cannot make a batch near the wanted one.
    """
    wanted = wanted_clips_per_update(optimisation, crop_seconds)
    per_process = max(1, round(wanted / world_size))
    if optimisation.micro_batch_clips is not None:
        micro_batch = optimisation.micro_batch_clips
        accumulation = max(1, round(wanted / (world_size * micro_batch)))
    else:
        accumulation = _accumulation(per_process, largest_micro_batch)
        micro_batch = max(1, round(per_process / accumulation))
    geometry = BatchGeometry(world_size, micro_batch, accumulation, crop_seconds)
    if not 0.8 <= geometry.clips_per_update / wanted <= 1.25:
        raise UserError(
            f"--audio_seconds_per_update {optimisation.audio_seconds_per_update:g} is {wanted} clips of "
            f"{crop_seconds:g} s, but the nearest here is {geometry}; choose another --micro_batch_clips, "
            f"fewer processes, or --audio_seconds_per_update {geometry.audio_seconds_per_update:g}"
        )
    return geometry


def _accumulation(clips: int, largest_micro_batch: int) -> int:
    """The fewest micro-batches that fit; up to twice as many where that makes them come out even."""
    fewest = -(-clips // largest_micro_batch)
    even = (number for number in range(fewest, 2 * fewest + 1) if clips % number == 0)
    return next(even, fewest)
