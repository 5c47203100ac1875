"""The documentation as a site: the pages of `docs/`, and a reference that is made from contracts, models and code."""


class DocumentationError(RuntimeError):
    """The site cannot be built or served. The text names pages and lines."""
