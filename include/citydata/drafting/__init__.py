"""Drafts of datasets from a sample of their source: what can be seen is proposed, what only a person knows is left empty."""
