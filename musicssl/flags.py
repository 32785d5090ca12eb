"""Flags as fields of dataclasses: what is known about a flag stands at its field and nowhere else.

    @dataclass(frozen=True)
    class MaskingConfig:
        mask_span: int = flag("length of a masked span in frames", 10, limit=POSITIVE)

The same field is `--mask_span` on the command line, `mask_span` in a recipe and `config.masking.mask_span` in Python.
A field's type is bool, int, float, str, Literal, any of these or None, tuple[T, ...] or dict[str, Any].
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import PurePath
from typing import Any, Literal, get_args, get_origin

import yaml

from musicssl.errors import UserError

TRUE, FALSE = ("yes", "true", "t", "y", "1"), ("no", "false", "f", "n", "0")
_METAVARS = {bool: "{true,false}", int: "N", float: "X", str: "TEXT"}


@dataclass(frozen=True)
class Limit:
    """What a value must satisfy, and the rule in words."""

    holds: Callable[[Any], bool]
    rule: str


POSITIVE = Limit(lambda value: value > 0, "must be above 0")
NOT_NEGATIVE = Limit(lambda value: value >= 0, "must not be negative")
FRACTION = Limit(lambda value: 0 <= value <= 1, "must be between 0 and 1")


def flag(help_text: str, default: Any = None, limit: Limit | None = None, **facts: Any) -> Any:
    """A field of a configuration that is also a flag and a recipe key.

    Args:
        limit: checked by `check_limits`; None, where a field may be None, is always allowed.
        facts: what else is known about the flag. Read here: `metavar` (how --help names the value), `example` (a
            value to show in an error) and `formerly` (an earlier name that is still accepted).
    """
    metadata = {"help": help_text, "limit": limit, **facts}
    if isinstance(default, dict):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


def default_of(own: Field) -> Any:
    """The value of a flag that nobody gives."""
    return own.default if own.default_factory is MISSING else own.default_factory()


def former_names(config_class: type) -> dict[str, str]:
    """Earlier name of a flag -> its name today."""
    return {own.metadata["formerly"]: own.name for own in fields(config_class) if "formerly" in own.metadata}


def check_limits(config: Any) -> None:
    """Raise UserError for the first field of a configuration that is outside its limit."""
    for own in fields(config):
        limit, value = own.metadata["limit"], getattr(config, own.name)
        if limit and value is not None and not limit.holds(value):
            raise UserError(f"--{own.name} is {value}: it {limit.rule}")


def convert(own: Field, value: Any) -> Any:
    """A value from a command line (text), a recipe (YAML) or Python, in the type of its field.

    None and an empty list stand for the default. One value stands for a list of one.

    Raises:
        UserError: the value does not have the field's type.
    """
    kind, of = _kind(own)
    value = _plain(value)
    if kind is tuple:
        values = value if isinstance(value, list) else [] if value is None else [value]
        return tuple(_convert_one(own, of, entry) for entry in values) or default_of(own)
    if value is None:
        return default_of(own)
    if kind is dict and isinstance(value, list):
        return _key_values(own, value)
    return _convert_one(own, kind, value)


def add_flags(parser: argparse.ArgumentParser, config_class: type) -> None:
    """Add the flags of a configuration as an argument group, titled by the first line of the class's docstring.

    The parser collects text, for `convert`, and only of the flags that were given.
    """
    title = (config_class.__doc__ or config_class.__name__).splitlines()[0]
    group = parser.add_argument_group(title.removesuffix("."))
    for own in fields(config_class):
        kind, of = _kind(own)
        options: dict[str, Any] = {"metavar": own.metadata.get("metavar") or _METAVARS.get(of or kind)}
        if kind is bool:
            options |= {"nargs": "?", "const": "true"}
        elif get_origin(kind) is Literal:
            options["metavar"] = f"{{{','.join(get_args(kind))}}}"
        elif kind in (tuple, dict):
            options |= {"nargs": "+", "action": "extend" if kind is dict else "store"}
        group.add_argument(f"--{own.name}", default=argparse.SUPPRESS, help=_help(own), **options)
        if own.default is True:
            group.add_argument(
                f"--no_{own.name}", dest=own.name, action="store_const", const="false", default=argparse.SUPPRESS,
                help=f"the same as --{own.name} false",
            )  # fmt: skip


def _kind(own: Field) -> tuple[Any, Any]:
    """(type, None) of a flag with one value; (tuple, type of an entry) or (dict, None)."""
    annotation = own.type
    if type(None) in get_args(annotation):
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is tuple:
        entry = get_args(annotation)[0]
        return tuple, get_origin(entry) or entry
    return (dict, None) if get_origin(annotation) is dict else (annotation, None)


def _plain(value: Any) -> Any:
    """The value as YAML reads it back from a run's recipe: no tuples, no paths, nothing of NumPy."""
    if hasattr(value, "tolist"):  # an array or a scalar of NumPy
        return value.tolist()
    if isinstance(value, Mapping):
        return {_plain(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, PurePath) else value


def _convert_one(own: Field, kind: Any, value: Any) -> Any:
    if kind is dict:
        return _mapping(own, value)
    text = str(value)
    if isinstance(value, list | Mapping):
        raise UserError(f"argument --{own.name}: it takes one value, not {text}")
    if get_origin(kind) is Literal:
        if text not in get_args(kind):
            raise UserError(
                f"argument --{own.name}: invalid choice: {text!r} (choose from {', '.join(get_args(kind))})"
            )
        return text
    if kind is bool:
        if text.lower() not in TRUE + FALSE:
            raise UserError(f"argument --{own.name}: invalid bool value: {text!r} (write true or false)")
        return text.lower() in TRUE
    try:
        return kind(text)
    except ValueError:
        raise UserError(f"argument --{own.name}: invalid {kind.__name__} value: {text!r}") from None


def _mapping(own: Field, value: Any) -> dict[str, Any]:
    """A mapping, or the YAML (or JSON) text of one."""
    if isinstance(value, str):
        try:
            found = yaml.safe_load(value)
        except yaml.YAMLError:
            found = None
    else:
        found = value
    if not isinstance(found, Mapping):
        raise UserError(f"--{own.name}: {value} is not a mapping like {own.metadata['example']}")
    return dict(found)


def _key_values(own: Field, entries: Sequence[Any]) -> dict[str, Any]:
    """['hidden_size=192', 'layerdrop=0'] -> {'hidden_size': 192, 'layerdrop': 0}; a later entry wins."""
    mapping = {}
    for entry in entries:
        key, equals, value = str(entry).partition("=")
        if not equals:
            raise UserError(f"--{own.name}: '{entry}' is not KEY=VALUE, for example {own.metadata['example']}")
        mapping[key] = yaml.safe_load(value)
    return mapping


def _help(own: Field) -> str:
    default = default_of(own)
    shown = " ".join(map(str, default)) if isinstance(default, tuple) else default
    text = own.metadata["help"] if shown in (None, "", {}) else f"{own.metadata['help']} (default: {shown})"
    return text.replace("%", "%%")
