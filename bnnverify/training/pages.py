"""Memory in huge pages, which must be asked for before torch is imported.

Every step of training makes and frees tensors of the size of a layer's weights, and the kernel hands out such memory
4 KiB at a time: for a layer of 4096 x 4096, half of what an elementwise pass costs is page faults. Torch asks for huge
pages where an environment variable says so when it is loaded; on other systems than Linux that does nothing.
"""

from __future__ import annotations

import os

VARIABLE = "THP_MEM_ALLOC_ENABLE"


def ask_for_huge_pages() -> None:
    """Set torch's variable for this process and its children, unless the user has set it."""
    os.environ.setdefault(VARIABLE, "1")
