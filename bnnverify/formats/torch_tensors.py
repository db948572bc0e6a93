"""Reads the tensors of a torch file as numpy arrays, and runs none of its code.

``weights_only=True`` restricts the pickle to tensors and containers. A tensor may still claim more
elements than its storage holds (strides of 0), which would expand on conversion: refused too. Torch
is imported here and nowhere else in the readers.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import ModelFormatError
from bnnverify.formats.archive import MAX_BYTES

WRAPPERS = ("state_dict", "model_state_dict")


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """All tensors of a state dict, in its order; float16 and bfloat16 widened to float32.

    Raises:
        ModelFormatError: if torch is not installed, the file is damaged, needs code to be run, is
            no mapping of names to tensors, or holds a tensor that is not plain numbers.
    """
    _require_modest_size(path)
    state = _state_dict(_loaded(path))
    if not state:
        raise ModelFormatError("an empty state dict, expected the parameters of a network")
    return {str(name): _as_array(str(name), value) for name, value in state.items()}


def _require_modest_size(path: Path) -> None:
    size = path.stat().st_size
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            size = sum(info.file_size for info in archive.infolist())
    if size > MAX_BYTES:
        raise ModelFormatError(f"{size} bytes of tensors, expected at most {MAX_BYTES}")


def _loaded(path: Path) -> Any:
    try:
        import torch
    except ImportError:
        raise ModelFormatError("reading torch files needs torch; install bnnverify[train]") from None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ModelFormatError(
            "not a plain state dict: it is damaged or needs code to be run; save model.state_dict() instead"
        ) from None
    except Exception as error:  # a damaged file can raise nearly anything inside torch's unpickler
        raise ModelFormatError(f"damaged or truncated torch file ({type(error).__name__})") from None


def _state_dict(loaded: Any) -> Mapping[Any, Any]:
    """The mapping itself, or the one that a checkpoint keeps under a usual name."""
    if isinstance(loaded, Mapping):
        for wrapper in WRAPPERS:
            if isinstance(loaded.get(wrapper), Mapping):
                return _state_dict(loaded[wrapper])
        return loaded
    raise ModelFormatError(f"holds a {type(loaded).__name__}, expected a state dict (names to tensors)")


def _as_array(name: str, value: Any) -> NDArray[Any]:
    import torch

    if not isinstance(value, torch.Tensor):
        raise ModelFormatError(f"{name}: a {type(value).__name__}, expected a tensor")
    if value.layout != torch.strided or value.is_quantized or value.is_complex() or value.device.type != "cpu":
        raise ModelFormatError(f"{name}: a tensor of {value.dtype} and {value.layout}, expected dense real numbers")
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        raise ModelFormatError(f"{name}: claims {value.numel()} numbers, more than the file holds for it")
    widened = value.float() if value.dtype in (torch.float16, torch.bfloat16) else value
    array: NDArray[Any] = np.array(widened.detach().numpy())
    return array
