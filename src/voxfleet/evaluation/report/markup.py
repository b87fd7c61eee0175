"""HTML and SVG as values: text becomes markup only by being escaped, so nothing a caller said can become a tag."""

from collections.abc import Iterable
from html import escape
from typing import TypeAlias

Child: TypeAlias = "str | Iterable[Child] | None"
Attribute: TypeAlias = str | float | bool | None

VOID = frozenset({"br", "col", "hr", "input", "meta"})


class Markup(str):
    """Text that is markup already. Only `tag`, `many` and `trusted` make it."""

    __slots__ = ()


def tag(name: str, /, *children: Child, **attributes: Attribute) -> Markup:
    """An element. Children that are not markup are escaped; None is left out.

    Attributes: a trailing underscore is dropped and others become hyphens (`class_`, `aria_label`); None and False
    leave the attribute out, True writes it bare.
    """
    opening = f"<{name}{_attributes(attributes)}>"
    return Markup(opening if name in VOID else f"{opening}{many(*children)}</{name}>")


def many(*children: Child) -> Markup:
    """Children one after the other, escaped where they are not markup."""
    return Markup("".join(map(_child, children)))


def trusted(text: str) -> Markup:
    """Text of this package that is markup: its own files, and what `tag` can't write."""
    return Markup(text)


def _child(child: Child) -> str:
    match child:
        case None:
            return ""
        case Markup():
            return child
        case str():
            return escape(child)
        case _:
            return "".join(map(_child, child))


def _attributes(attributes: dict[str, Attribute]) -> str:
    written = []
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        plain = name.rstrip("_").replace("_", "-")
        written.append(f" {plain}" if value is True else f' {plain}="{escape(str(value))}"')
    return "".join(written)
