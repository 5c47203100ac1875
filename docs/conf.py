"""Sphinx: how the pages become a site. `./citydata docs` calls it."""

from typing import Any

project = "City data platform"
extensions = ["myst_parser"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = project
html_copy_source = False
html_show_sphinx = False
linkcheck_timeout = 20


def _reach_by_keyboard(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """What may have to be scrolled sideways can be reached without a mouse (WCAG 2.1.1)."""
    if body := context.get("body"):
        context["body"] = body.replace("<pre>", '<pre tabindex="0">').replace(
            '<div class="table-wrapper', '<div tabindex="0" class="table-wrapper'
        )


def setup(app: Any) -> None:
    """Hook into the writing of pages."""
    app.connect("html-page-context", _reach_by_keyboard)
