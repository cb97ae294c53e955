"""A lock on an open file that the system lets go of by itself when its process dies, however it dies."""

from __future__ import annotations

import os
import sys

# Windows locks byte ranges; one far behind the end leaves the number of the process readable.
_WINDOWS_BYTE = 1 << 30


def try_lock(descriptor: int) -> bool:
    """Take the lock of an open file; False where another holds it. Closing the file lets go of it."""
    if sys.platform == "win32":
        import msvcrt

        try:
            os.lseek(descriptor, _WINDOWS_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
