"""Sphinx: how the pages become a site. `./citydata docs` calls it."""

project = "City data platform"
extensions = ["myst_parser"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = project
html_copy_source = False
html_show_sphinx = False
linkcheck_timeout = 20
suppress_warnings = ["toc.empty_glob"]
