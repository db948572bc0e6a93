"""How the solver's kernels are compiled: without reference counting of their arrays.

Numba counts references to each array of a tuple that a kernel takes, by atomic operations at every call that is
not inlined; with some forty arrays that was half of the whole search. The kernels neither allocate nor keep
arrays, so they are compiled without the runtime that counts; one that tried to allocate would not compile.
"""

from typing import Any

from numba import njit

_compiled: Any = njit
kernel = _compiled(cache=True, nogil=True, _nrt=False)
