"""SVG elements, in which every text is escaped."""

from __future__ import annotations

from markupsafe import Markup, escape


def element(name: str, /, *children: object, **attributes: object) -> Markup:
    """An element; `class_` is its class, `data_group` its data-group, and None leaves an attribute out."""
    pairs = (
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{''.join(pairs)}>{''.join(map(escape, children))}</{name}>")
