"""Memory allocation of glibc: keep freed blocks instead of returning them to the kernel.

A force evaluation allocates and frees gigabytes of tensors in blocks that glibc maps from
the kernel and unmaps again, each time paying for fresh, zeroed pages: on a MACE of the
medium architecture that was half of the time (13.3 s to 7.1-7.9 s for 432 atoms on a shared
virtual machine; less on bare metal is possible). Keeping the blocks costs memory: the process
holds its peak until it ends or :func:`restore_allocation` is called.
"""

from __future__ import annotations

import ctypes
import platform

#: Parameters of mallopt in glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4

#: glibc's defaults.
_DEFAULT_TRIM_THRESHOLD = 128 * 1024
_DEFAULT_MMAP_MAX = 65536

#: Largest int: freed memory at the top of the heap is never returned.
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Serve all requests from the heap of the process and do not shrink it.

    Returns
    -------
    bool
        Whether it was done; false where the C library is not glibc.
    """
    return _set(mmap_max=0, trim_threshold=_NEVER)


def restore_allocation() -> bool:
    """Go back to glibc's defaults and return free memory to the kernel."""
    done = _set(mmap_max=_DEFAULT_MMAP_MAX, trim_threshold=_DEFAULT_TRIM_THRESHOLD)
    if done:
        ctypes.CDLL(None).malloc_trim(0)
    return done


def _set(*, mmap_max: int, trim_threshold: int) -> bool:
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_M_MMAP_MAX, mmap_max) and mallopt(_M_TRIM_THRESHOLD, trim_threshold))
