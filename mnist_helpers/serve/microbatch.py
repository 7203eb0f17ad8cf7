"""Gather the images of concurrent requests, and predict them together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from os import cpu_count
from typing import TypeVar

import numpy as np

from ..prediction import Prediction

log = logging.getLogger(__name__)
T = TypeVar("T")
ENDED = "the server cannot predict any more: it has to be started again"
PATIENCE = 60  # seconds for a batch, which takes a fraction of one
STUCK = f"the network has been at one batch for more than {PATIENCE} seconds"


class OverloadedError(RuntimeError):
    """More images wait than there is room for; try again later."""


class NetworkError(RuntimeError):
    """The network failed, or what it returned are no probabilities."""


class MicroBatcher:
    """Preprocesses images in threads, and passes those that are ready through the network at once.

    Nothing waits for company: while the network predicts one batch, what arrives makes up the next.
    So a lone request is as fast as ever, and a crowd is served in batches that grow with the crowd.
    Images whose request was cancelled leave the queue. If a batch takes a minute, those who wait
    are told, and those who come until it is done.

    Parameters
    ----------
    preprocess : callable
        Turns what was uploaded into uint8 ``[28, 28]``, or raises `ValueError`.
    predict : callable
        Turns uint8 ``[N, 28, 28]`` into probabilities ``[N, 10]``.
    max_batch_size : int, default=256
        Maximum number of images per batch; 1 predicts them one by one.
    capacity : int, default=1024
        Maximum number of images in flight, from arrival to answer.

    Examples
    --------
    >>> def preprocess(content):
    ...     return np.full((28, 28), content[0], dtype=np.uint8)
    >>> def predict(images):
    ...     return np.full((len(images), 10), 0.1)
    >>> async def main():
    ...     async with MicroBatcher(preprocess, predict) as batcher:
    ...         return await batcher.predict([b"one", b"two", b"three"])
    >>> len(asyncio.run(main()))
    3
    """

    def __init__(
        self,
        preprocess: Callable[[bytes], np.ndarray],
        predict: Callable[[np.ndarray], np.ndarray],
        max_batch_size: int = 256,
        capacity: int = 1024,
    ) -> None:
        self.max_batch_size, self.capacity = max_batch_size, capacity
        self.in_flight = 0
        self._preprocess, self._predict = preprocess, predict

    async def __aenter__(self) -> MicroBatcher:
        self._ready: asyncio.Queue[tuple[np.ndarray, asyncio.Future]] = asyncio.Queue()
        self._preprocess_pool = ThreadPoolExecutor(cpu_count(), "preprocess")
        self._predict_pool = ThreadPoolExecutor(1, "predict")
        self._work_pool = ThreadPoolExecutor(max(1, (cpu_count() or 1) // 2), "work")
        self._waiting: set[asyncio.Future] = set()
        self._is_stuck = False
        self._predictor = asyncio.create_task(self._predict_batches())
        self._predictor.add_done_callback(self._end)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._predictor.cancel()
        await asyncio.gather(self._predictor, return_exceptions=True)
        self._preprocess_pool.shutdown(cancel_futures=True)
        self._predict_pool.shutdown(wait=False)  # the network may never return
        self._work_pool.shutdown(cancel_futures=True)

    @property
    def is_alive(self) -> bool:
        """Whether the task that predicts batch after batch still runs."""
        return not self._predictor.done()

    @property
    def trouble(self) -> str | None:
        """Why nothing can be predicted at present; None if it can."""
        return (STUCK if self._is_stuck else None) if self.is_alive else ENDED

    async def predict(self, uploads: Sequence[bytes]) -> list[Prediction | ValueError]:
        """Predict images; in place of one that cannot be used stands its error.

        Raises
        ------
        OverloadedError
            If they would exceed the capacity; none of them was predicted.
        NetworkError
            If the network failed or takes a minute, or if the task that predicts has ended.
        """
        with self._admit(len(uploads)):
            return await asyncio.gather(*map(self._predict_one, uploads))

    async def run(
        self, work: Callable[[bytes], T], uploads: Sequence[bytes]
    ) -> list[T | ValueError]:
        """Do other work with images, within the same capacity; an error stands in its place.

        It has threads of its own, half as many as there are cores: images of single digits, which
        take far less time, don't wait for it.

        Raises
        ------
        OverloadedError
            If they would exceed the capacity; nothing was done.
        """
        with self._admit(len(uploads)):
            return await asyncio.gather(*(self._run_one(work, upload) for upload in uploads))

    @contextmanager
    def _admit(self, count: int) -> Iterator[None]:
        """Count images as in flight as long as the block lasts."""
        if self.in_flight + count > self.capacity:
            raise OverloadedError(
                f"{self.in_flight} images in flight, and the capacity is {self.capacity}: "
                "try again in a moment"
            )
        self.in_flight += count
        try:
            yield
        finally:
            self.in_flight -= count

    async def _run_one(self, work: Callable[[bytes], T], upload: bytes) -> T | ValueError:
        """Do the work with one image."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._work_pool, work, upload)
        except ValueError as error:
            return error

    async def _predict_one(self, upload: bytes) -> Prediction | ValueError:
        """Preprocess one image, hand it to the next batch, and wait for its answer."""
        loop = asyncio.get_running_loop()
        try:
            image = await loop.run_in_executor(self._preprocess_pool, self._preprocess, upload)
        except ValueError as error:
            return error
        if self.trouble:
            raise NetworkError(self.trouble)
        answer = loop.create_future()
        self._waiting.add(answer)
        self._ready.put_nowait((image, answer))
        try:
            probs = await answer
        finally:
            self._waiting.discard(answer)
            answer.cancel()  # nothing, unless the request was cancelled
        return Prediction(int(probs.argmax()), float(probs.max()), probs, image)

    async def _predict_batches(self) -> None:
        """Predict whatever is ready, again and again."""
        loop = asyncio.get_running_loop()
        while True:
            batch = [await self._ready.get()]
            while len(batch) < self.max_batch_size and not self._ready.empty():
                batch.append(self._ready.get_nowait())
            batch = [(image, answer) for image, answer in batch if not answer.done()]
            if not batch:
                continue
            images, answers = zip(*batch, strict=True)
            running = loop.run_in_executor(self._predict_pool, self._attempt, np.stack(images))
            await asyncio.wait({running}, timeout=PATIENCE)
            if not running.done():
                self._is_stuck = True
                log.error(STUCK)
                _fail(self._waiting, STUCK)
            found = await running
            self._is_stuck = False
            if isinstance(found, Exception):
                log.error("the network failed for %d images", len(images), exc_info=found)
                _fail(answers, f"the network failed: {type(found).__name__}: {found}")
                continue
            for answer, probs in zip(answers, found, strict=True):
                if not answer.done():  # its request may have been given up
                    answer.set_result(probs)

    def _attempt(self, images: np.ndarray) -> np.ndarray | Exception:
        """Return the probabilities, or what went wrong: no future would raise a StopIteration."""
        try:
            probabilities = np.asarray(self._predict(images))
            check_probabilities(probabilities, len(images))
        except Exception as error:  # whatever it is, those who wait must hear of it
            return error
        return probabilities

    def _end(self, task: asyncio.Task) -> None:
        """Tell those who wait that nobody predicts any more."""
        if not task.cancelled() and task.exception():
            log.error("the task that predicts has ended", exc_info=task.exception())
        _fail(self._waiting, ENDED)


def check_probabilities(probabilities: np.ndarray, count: int) -> None:
    """Raise a `ValueError` unless these are probabilities of ten digits for each image."""
    if np.shape(probabilities) != (count, 10):
        raise ValueError(
            f"expected probabilities of shape {[count, 10]}, not {list(np.shape(probabilities))}"
        )
    if not ((probabilities >= 0) & (probabilities <= 1)).all():  # not-a-number neither
        raise ValueError("some of its probabilities are no numbers from 0 to 1")


def _fail(answers: Iterable[asyncio.Future], message: str) -> None:
    """Raise an error where answers are waited for."""
    for answer in answers:
        if not answer.done():
            answer.set_exception(NetworkError(message))
