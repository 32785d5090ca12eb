"""The tensors of a PyTorch pickle, without running what else is in it.

A pickle may name any function and have it called on loading. Here only the few that rebuild tensors are real;
everything else becomes an inert object that remembers its attributes, so that a checkpoint with its training
configuration inside can still be read.
"""

import pickle
import tarfile
import types
from pathlib import Path

import torch

from musicssl.errors import UserError, first_line

_REBUILD = {
    ("collections", "OrderedDict"),
    ("torch", "Size"),
    ("torch", "device"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch._utils", "_rebuild_tensor"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch.serialization", "_get_layout"),
}


class Inert(dict):
    """Stands in for an object of a class that was not loaded; its attributes are kept, nothing is run."""

    def __init__(self, *_, **__):
        super().__init__()

    def __setstate__(self, state: object) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)

    def append(self, _: object) -> None:
        """A pickled list subclass fills itself so."""

    extend = append


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str):
        is_storage = module == "torch" and (
            name.endswith("Storage") or isinstance(getattr(torch, name, 0), torch.dtype)
        )
        if (module, name) in _REBUILD or is_storage or module == "torch.storage":
            return super().find_class(module, name)
        return Inert


def _load(file, **options):
    return _Unpickler(file, **options).load()


_MODULE = types.SimpleNamespace(Unpickler=_Unpickler, load=_load, __name__="musicssl.convert.safe_pickle")


def read_checkpoint(path: Path) -> dict:
    """The content of a .pt, .pth or .bin file, on the CPU; objects other than tensors and plain data are inert.

    Raises:
        UserError: the file is missing, is no PyTorch checkpoint, or holds no dictionary.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    # PyTorch's oldest format is a tar, unpacked to disk by the names inside it.
    if tarfile.is_tarfile(path):
        raise UserError(f"{path} is a tar archive: its names could lead anywhere on this disk; unpack it yourself")
    try:
        content = torch.load(path, map_location="cpu", weights_only=False, pickle_module=_MODULE)
    except Exception as error:  # a damaged pickle can raise anything
        raise UserError(f"{path} is no PyTorch checkpoint that can be read: {first_line(error)}") from None
    if not isinstance(content, dict) or isinstance(content, Inert):
        raise UserError(f"{path} holds a {type(content).__name__}, not a checkpoint")
    return content


def state_dict_of(checkpoint: dict) -> dict[str, torch.Tensor | dict]:
    """The tensors of a checkpoint: its entry "model" or "state_dict", or all of it."""
    for key in ("model", "state_dict"):
        if isinstance(checkpoint.get(key), dict) and any(map(torch.is_tensor, checkpoint[key].values())):
            return dict(checkpoint[key])
    if any(map(torch.is_tensor, checkpoint.values())):
        return checkpoint
    raise UserError("the checkpoint holds no tensors under 'model', 'state_dict' or by themselves")
