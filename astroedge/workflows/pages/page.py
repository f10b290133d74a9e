"""One HTML file that holds all it needs: styles, scripts and data, under a policy that forbids any network.

Every text in a page is escaped, names of models among them: the templates escape what they are given, and data for
scripts is JSON that no tag can end. The same data gives the same bytes.
"""

from __future__ import annotations

import base64
import json
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astroedge.host_package import require

if TYPE_CHECKING:
    import jinja2

ASSETS = Path(__file__).parent / "assets"
# What would end a script element, open a comment in it, or end a line of JavaScript before its end.
_UNSAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def render_page(template: str, *, scripts: tuple[str, ...], data: Any, **values: Any) -> bytes:
    """A page as UTF-8: a template of `assets` with its style sheet, scripts in their order and data for them.

    Raises MissingDependencyError without Jinja.
    """
    style = _asset("style.css")
    texts = [_asset(name) for name in scripts]
    page = _environment().get_template(template)
    text = page.render(**values, policy=_policy(style, texts), style=style, scripts=texts, data=embed_json(data))
    return text.encode("utf-8")


def embed_json(value: Any) -> str:
    """JSON that can stand in a script element as it is."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # Half a surrogate pair, which JSON may hold, has no UTF-8.
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return "".join(_UNSAFE.get(sign, sign) for sign in text) if any(sign in text for sign in _UNSAFE) else text


def _policy(style: str, scripts: list[str]) -> str:
    """Nothing is loaded from anywhere; only this style sheet and these scripts count."""
    allowed = " ".join(map(_digest, scripts))
    return f"default-src 'none'; style-src {_digest(style)}; script-src {allowed}; base-uri 'none'; form-action 'none'"


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(sha256(text.encode('utf-8')).digest()).decode()}'"


@cache
def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


@cache
def _environment() -> jinja2.Environment:
    jinja2 = require("jinja2", "writing a page")
    environment: Any = jinja2.Environment(
        loader=jinja2.FunctionLoader(_asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["code"] = _code
    return environment  # type: ignore[no-any-return]


def _code(text: str) -> Any:
    """A text whose parts between backticks are commands or file names."""
    markup = require("markupsafe", "writing a page").Markup
    parts = text.split("`")
    return markup("").join(
        markup("<code>{}</code>").format(part) if index % 2 and len(parts) % 2 else part
        for index, part in enumerate(parts)
    )
