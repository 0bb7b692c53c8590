"""HTML from the templates beside this file, in which every text is escaped."""

from __future__ import annotations

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ganlab.comparison.report.axis import NONE, short
from ganlab.comparison.report.charts import sign

# XML cannot hold these characters, and a name may hold any.
UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.globals.update(NONE=NONE, short=short, sign=sign)


def render(template: str, **values: object) -> Markup:
    return Markup(ENVIRONMENT.get_template(template).render(values))


def writable(text: str) -> str:
    """The text with U+FFFD for each character that no page or plot can hold."""
    return UNWRITABLE.sub("\ufffd", text)
