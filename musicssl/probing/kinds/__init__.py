"""What a label can be: one file per kind of task, found here by name. No module outside asks which kind a task is."""

from musicssl.errors import UserError
from musicssl.probing.kinds.base import ClipKind, FrameKind
from musicssl.probing.kinds.beat import Beat
from musicssl.probing.kinds.key import Key
from musicssl.probing.kinds.multiclass import Multiclass
from musicssl.probing.kinds.multilabel import Multilabel
from musicssl.probing.kinds.regression import Regression

KINDS: dict[str, ClipKind | FrameKind] = {
    kind.name: kind for kind in (Multiclass(), Multilabel(), Regression(), Key(), Beat())
}


def get_kind(name: str) -> ClipKind | FrameKind:
    """The kind called `name`; a UserError lists the available ones."""
    if name not in KINDS:
        raise UserError(f"--type {name}: unknown kind of label; available: {', '.join(KINDS)}")
    return KINDS[name]
