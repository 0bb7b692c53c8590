"""SVG, in which every text is escaped."""

from __future__ import annotations

from markupsafe import Markup, escape


def element(name: str, /, *children: object, **attributes: object) -> Markup:
    """`class_` is class and `data_group` data-group; None leaves an attribute away."""
    written = (
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{''.join(written)}>{''.join(map(escape, children))}</{name}>")
