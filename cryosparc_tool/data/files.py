"""Micrograph files: on the shared file system where they are, else downloaded into a cache that is bounded and emptied."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from cryosparc_tool.console import Console
from cryosparc_tool.data.exposures import Exposure
from cryosparc_tool.server.retry import patiently, server_code
from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.locks import take_lock

MOST_AHEAD = 4
BYTES_PER_PIXEL = 4
LOCK = ".lock"
OLD_SECONDS = 3600.0
"""A cache without a lock is being made at this moment, or was left by a run that was killed in its first moment."""
GONE = (403, 404, 410)
"""Answers to a download that say something of the file, not of the connection."""

Download = Callable[[str, Path], None]


class MissingError(Exception):
    """A micrograph that is not there."""


class MicrographFiles:
    """Gives the file of each exposure in turn; a context, at whose end the cache is gone.

    Parameters
    ----------
    root
        The project's folder as this machine sees it; None if it does not.
    download
        Fetches a file of the project, by its name there, to a path.
    cache
        Where to put downloads; None takes the system's folder for temporary files.
    cache_bytes
        Most bytes of downloads at a time. Those that are being read count, so that a few micrographs always fit.
    """

    def __init__(self, root: Path | None, download: Download, cache: Path | None, cache_bytes: float, console: Console) -> None:
        self._root, self._download, self._console = root, download, console
        self._cache_bytes = cache_bytes
        parent = Path(tempfile.gettempdir()) if cache is None else cache
        remove_abandoned(parent)
        try:
            self._folder, self._lock = _new_cache(parent)
        except OSError as error:
            raise GanpickError(f"{parent}: cannot be written ({error.strerror}): give another `cache`") from error
        self._pool = ThreadPoolExecutor(2, "download")
        self._kept: dict[int, int] = {}
        self.downloaded = 0

    def __enter__(self) -> MicrographFiles:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        shutil.rmtree(self._folder, ignore_errors=True)
        os.close(self._lock)

    @property
    def cached_bytes(self) -> int:
        """Bytes that the downloads are expected to take."""
        return sum(self._kept.values())

    def paths(self, exposures: Iterable[Exposure]) -> Iterator[tuple[Exposure, Path | MissingError]]:
        """Yield each exposure with its file, or with the reason why there is none; downloads run a little ahead."""
        waiting: deque[tuple[Exposure, Path | Future[Path | MissingError]]] = deque()
        rest = iter(exposures)
        following = next(rest, None)
        while following is not None or waiting:
            while following is not None and (not waiting or self._has_room(following, len(waiting))):
                waiting.append((following, self._begin(following)))
                following = next(rest, None)
            exposure, found = waiting.popleft()
            yield exposure, found if isinstance(found, Path) else found.result()

    def release(self, exposure: Exposure) -> None:
        """Delete a downloaded file."""
        if self._kept.pop(exposure.uid, None) is not None:
            self._target(exposure).unlink(missing_ok=True)

    def _has_room(self, exposure: Exposure, waiting: int) -> bool:
        return waiting < MOST_AHEAD and self.cached_bytes + _size(exposure) <= self._cache_bytes

    def _begin(self, exposure: Exposure) -> Path | Future[Path | MissingError]:
        path = Path(exposure.path)
        if not path.is_absolute() and self._root is not None:
            path = self._root / path
        if path.is_absolute() and path.is_file():
            return path
        self._kept[exposure.uid] = _size(exposure)
        return self._pool.submit(self._fetch, exposure)

    def _fetch(self, exposure: Exposure) -> Path | MissingError:
        target = self._target(exposure)
        try:
            patiently(lambda: self._download(exposure.path, target), f"downloading {exposure.path}", self._console)
        except Exception as error:
            target.unlink(missing_ok=True)
            if server_code(error) in GONE:
                return MissingError(f"{exposure.path}: neither on this machine nor on the server")
            if isinstance(error, OSError) and error.filename is not None:
                raise GanpickError(f"{target}: cannot be written ({error.strerror}): give another `cache`") from error
            raise
        self.downloaded += 1
        return target

    def _target(self, exposure: Exposure) -> Path:
        return self._folder / f"{exposure.uid}{''.join(PurePosixPath(exposure.path).suffixes[-2:])}"


def remove_abandoned(parent: Path) -> None:
    """Remove the caches of runs on this machine that were killed: nobody holds their locks any more."""
    for folder in parent.glob(f"{_prefix()}*"):
        try:
            lock = take_lock(folder / LOCK, patience=0) if (folder / LOCK).exists() else None
        except OSError:
            continue  # it is in use, or somebody else's, or its run has just removed it
        if lock is not None or _is_old(folder):
            shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _is_old(folder: Path) -> bool:
    try:
        return time.time() - folder.stat().st_mtime > OLD_SECONDS
    except FileNotFoundError:  # another run has removed it meanwhile
        return False


def _new_cache(parent: Path) -> tuple[Path, int]:
    """Make a cache and lock it; once more where another run took it for abandoned before it was locked.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_prefix(), dir=parent))
        try:
            lock = take_lock(folder / LOCK)
        except FileNotFoundError:
            continue
        if (folder / LOCK).exists():
            return folder, lock
        os.close(lock)


def _prefix() -> str:
    """Begin the names of caches with this machine's: on a shared disk each machine looks after its own."""
    return f"cryosparc_ganpick-{platform.node() or 'local'}-"


def _size(exposure: Exposure) -> int:
    return BYTES_PER_PIXEL * exposure.shape[0] * exposure.shape[1]
