"""What a label can be: one file per kind of task, found here by name. No module outside asks which kind a task is."""

from musicssl.probing.kinds.base import ClipKind, FrameKind
from musicssl.probing.kinds.beat import Beat
from musicssl.probing.kinds.key import Key
from musicssl.probing.kinds.multiclass import Multiclass
from musicssl.probing.kinds.multilabel import Multilabel
from musicssl.probing.kinds.regression import Regression
from musicssl.probing.names import check_kind

KINDS: dict[str, ClipKind | FrameKind] = {
    kind.name: kind for kind in (Multiclass(), Multilabel(), Regression(), Key(), Beat())
}


def get_kind(name: str) -> ClipKind | FrameKind:
    """The kind called `name`; a UserError lists the available ones."""
    check_kind(name)
    return KINDS[name]
