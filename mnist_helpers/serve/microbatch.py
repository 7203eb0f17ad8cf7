"""Gather the images of concurrent requests, and predict them together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count

import numpy as np

from ..prediction import Prediction

log = logging.getLogger(__name__)
ENDED = "the server cannot predict any more: it has to be started again"


class OverloadedError(RuntimeError):
    """More images wait than there is room for; try again later."""


class NetworkError(RuntimeError):
    """The network failed, or what it returned are no probabilities."""


class MicroBatcher:
    """Preprocesses images in threads, and passes those that are ready through the network at once.

    Nothing waits for company: while the network predicts one batch, what arrives makes up the next.
    So a lone request is as fast as ever, and a crowd is served in batches that grow with the crowd.
    Images whose request was cancelled leave the queue.

    Parameters
    ----------
    prepare : callable
        Turns what was uploaded into uint8 ``[28, 28]``, or raises `ValueError`.
    read : callable
        Turns uint8 ``[N, 28, 28]`` into probabilities ``[N, 10]``.
    max_batch_size : int, default=256
        Images in a batch, at most; 1 predicts them one by one.
    capacity : int, default=1024
        Images inside, from arrival to answer, at most.

    Examples
    --------
    >>> def prepare(content):
    ...     return np.full((28, 28), content[0], dtype=np.uint8)
    >>> def read(images):
    ...     return np.full((len(images), 10), 0.1)
    >>> async def main():
    ...     async with MicroBatcher(prepare, read) as batcher:
    ...         return await batcher.read([b"one", b"two", b"three"])
    >>> len(asyncio.run(main()))
    3
    """

    def __init__(
        self,
        prepare: Callable[[bytes], np.ndarray],
        read: Callable[[np.ndarray], np.ndarray],
        max_batch_size: int = 256,
        capacity: int = 1024,
    ) -> None:
        self.max_batch_size, self.capacity = max_batch_size, capacity
        self.in_flight = 0
        self._prepare, self._read = prepare, read

    async def __aenter__(self) -> MicroBatcher:
        self._ready: asyncio.Queue[tuple[np.ndarray, asyncio.Future]] = asyncio.Queue()
        self._preparing = ThreadPoolExecutor(cpu_count(), "prepare")
        self._reading = ThreadPoolExecutor(1, "read")
        self._waiting: set[asyncio.Future] = set()
        self._reader = asyncio.create_task(self._read_batches())
        self._reader.add_done_callback(self._end)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        self._preparing.shutdown(cancel_futures=True)
        self._reading.shutdown()

    @property
    def is_alive(self) -> bool:
        """Whether the task that predicts batch after batch still runs."""
        return not self._reader.done()

    async def read(self, uploads: Sequence[bytes]) -> list[Prediction | ValueError]:
        """Predict images; in place of one that cannot be used stands its error.

        Raises
        ------
        OverloadedError
            If there is no room for them; none of them was predicted.
        NetworkError
            If the network failed, or if the task that predicts has ended.
        """
        if self.in_flight + len(uploads) > self.capacity:
            raise OverloadedError(
                f"{self.in_flight} images in flight, and the capacity is {self.capacity}: "
                "try again in a moment"
            )
        self.in_flight += len(uploads)
        try:
            return await asyncio.gather(*map(self._read_one, uploads))
        finally:
            self.in_flight -= len(uploads)

    async def _read_one(self, upload: bytes) -> Prediction | ValueError:
        """Preprocess one image, hand it to the next batch, and wait for its answer."""
        loop = asyncio.get_running_loop()
        try:
            image = await loop.run_in_executor(self._preparing, self._prepare, upload)
        except ValueError as error:
            return error
        if not self.is_alive:
            raise NetworkError(ENDED)
        answer = loop.create_future()
        self._waiting.add(answer)
        self._ready.put_nowait((image, answer))
        try:
            probs = await answer
        finally:
            self._waiting.discard(answer)
            answer.cancel()  # nothing, unless the request was cancelled
        return Prediction(int(probs.argmax()), float(probs.max()), probs, image)

    async def _read_batches(self) -> None:
        """Predict whatever is ready, again and again."""
        loop = asyncio.get_running_loop()
        while True:
            batch = [await self._ready.get()]
            while len(batch) < self.max_batch_size and not self._ready.empty():
                batch.append(self._ready.get_nowait())
            batch = [(image, answer) for image, answer in batch if not answer.cancelled()]
            if not batch:
                continue
            images, answers = zip(*batch, strict=True)
            try:
                probabilities = await loop.run_in_executor(
                    self._reading, self._read, np.stack(images)
                )
                check_probabilities(probabilities, len(images))
            except Exception as error:  # whatever it is, those who wait must hear of it
                log.exception("the network failed for %d images", len(images))
                _fail(answers, f"the network failed: {type(error).__name__}: {error}")
            else:
                for answer, probs in zip(answers, probabilities, strict=True):
                    if not answer.done():  # its request may have been given up
                        answer.set_result(probs)

    def _end(self, reader: asyncio.Task) -> None:
        """Tell those who wait that nobody predicts any more."""
        if not reader.cancelled() and reader.exception():
            log.error("the task that predicts has ended", exc_info=reader.exception())
        _fail(self._waiting, ENDED)


def check_probabilities(probabilities: np.ndarray, count: int) -> None:
    """Raise a `ValueError` unless these are finite probabilities of ten digits for each image."""
    if np.shape(probabilities) != (count, 10):
        raise ValueError(
            f"expected probabilities of shape {[count, 10]}, not {list(np.shape(probabilities))}"
        )
    if not np.isfinite(probabilities).all():
        raise ValueError("some of its probabilities are no finite numbers")


def _fail(answers: Iterable[asyncio.Future], message: str) -> None:
    """Raise an error where answers are waited for."""
    for answer in answers:
        if not answer.done():
            answer.set_exception(NetworkError(message))
