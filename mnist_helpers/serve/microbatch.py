"""Gather the pictures of concurrent requests, and read them together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count

import numpy as np

from ..prediction import Prediction


class TooBusyError(RuntimeError):
    """More pictures wait than there is room for; try again later."""


class MicroBatcher:
    """Prepares pictures in threads, and passes those that are ready through the network at once.

    Nothing waits for company: while the network reads one batch, what arrives makes up the next.
    So a lone request is as fast as ever, and a crowd is read in batches that grow with the crowd.

    Parameters
    ----------
    prepare : callable
        Turns what was uploaded into uint8 ``[28, 28]``, or raises `ValueError`.
    read : callable
        Turns uint8 ``[N, 28, 28]`` into probabilities ``[N, 10]``.
    largest : int
        Pictures in a batch, at most; 1 reads them one by one.
    room : int
        Pictures inside, from arrival to answer, at most.

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
        largest: int = 256,
        room: int = 1024,
    ) -> None:
        self.largest, self.room = largest, room
        self.inside = 0
        self._prepare, self._read = prepare, read

    async def __aenter__(self) -> MicroBatcher:
        self._ready: asyncio.Queue[tuple[np.ndarray, asyncio.Future]] = asyncio.Queue()
        self._preparing = ThreadPoolExecutor(cpu_count(), "prepare")
        self._reading = ThreadPoolExecutor(1, "read")
        self._reader = asyncio.create_task(self._read_batches())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        self._preparing.shutdown(cancel_futures=True)
        self._reading.shutdown()

    async def read(self, uploads: Sequence[bytes]) -> list[Prediction | ValueError]:
        """Read pictures; in place of one that cannot be read stands its error.

        Raises
        ------
        TooBusyError
            If there is no room for them; none of them was read.
        """
        if self.inside + len(uploads) > self.room:
            raise TooBusyError(
                f"{self.inside} pictures are being read and there is room for {self.room}: "
                "try again in a moment"
            )
        self.inside += len(uploads)
        try:
            return await asyncio.gather(*map(self._read_one, uploads))
        finally:
            self.inside -= len(uploads)

    async def _read_one(self, upload: bytes) -> Prediction | ValueError:
        """Prepare one picture, hand it to the next batch, and wait for its answer."""
        loop = asyncio.get_running_loop()
        try:
            image = await loop.run_in_executor(self._preparing, self._prepare, upload)
        except ValueError as error:
            return error
        answer = loop.create_future()
        self._ready.put_nowait((image, answer))
        probs = await answer
        return Prediction(int(probs.argmax()), float(probs.max()), probs, image)

    async def _read_batches(self) -> None:
        """Read whatever is ready, again and again."""
        loop = asyncio.get_running_loop()
        while True:
            batch = [await self._ready.get()]
            while len(batch) < self.largest and not self._ready.empty():
                batch.append(self._ready.get_nowait())
            images, answers = zip(*batch, strict=True)
            try:
                probabilities = await loop.run_in_executor(
                    self._reading, self._read, np.stack(images)
                )
            except Exception as error:  # whatever it is, those who wait must hear of it
                for answer in answers:
                    if not answer.done():
                        answer.set_exception(error)
            else:
                for answer, probs in zip(answers, probabilities, strict=True):
                    if not answer.done():  # its request may have been given up
                        answer.set_result(probs)
