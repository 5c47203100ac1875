"""What a contract may say under `customProperties`: the settings of the platform, of columns, and of each connector."""

import inspect
import re
import types
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from citydata import connector_options, contract
from citydata.documentation.markdown import code, page, prose, table

_COMMENT = re.compile(r"^\s*(?:#\s*(?P<above>.*)|(?P<name>\w+): [^#]*(?:#\s*(?P<beside>.*))?)$")


def pages() -> Iterator[tuple[str, str]]:
    """Path below the site's root and Markdown of the pages."""
    yield (
        "reference/contract.md",
        page(
            "What a contract may say",
            "A contract is a document of the Open Data Contract Standard 3.1. What the standard has no key for stands under"
            " `customProperties`; a key that is not here is an error. `./citydata check` names file, line and key.",
            "What the source is asked for, `connector`, depends on its kind: [connectors](connectors.md).",
            *_sections(contract.PlatformSettings),
            *_sections(contract.ColumnSettings),
            "## Register keys (fi.…)",
            "Keys of the Finnish registers, which stand in Finnish: "
            + ", ".join(map(code, sorted(contract.FI_KEYS)))
            + ".",
            "## Classes of a column",
            ", ".join(map(code, contract.CLASSES)) + ". From them follow the [rights of the roles](roles.md).",
        ),
    )
    connectors = typing.get_args(contract.PlatformSettings.model_fields["connector"].annotation)
    parts = []
    for model in connectors:
        kind = typing.get_args(model.model_fields["type"].annotation)[0]
        used = [name for name, entry in contract.load_all().items() if entry.platform.connector.type == kind]
        parts += [
            f"## {kind}",
            _about(model),
            _options(model),
            "Used by " + ", ".join(f"[{name}](datasets/{name}.md)" for name in used) + "." if used else "",
        ]
    nested = dict.fromkeys(below for model in connectors for below in _nested(model))
    for model in nested:
        parts += [f"## {model.__name__}", _about(model), _options(model)]
    yield (
        "reference/connectors.md",
        page(
            "Connectors",
            "How a source is read: `connector: {type: …}` in its [contract](contract.md). An option that is not here is an error.",
            *parts,
        ),
    )


def _sections(model: type[BaseModel]) -> Iterator[str]:
    """A model and those that its fields are made of, the connectors aside."""
    for each in (model, *dict.fromkeys(_nested(model))):
        if each.__module__ == contract.__name__:
            yield f"## {each.__name__}\n\n{_about(each)}\n\n{_options(each)}"


def _about(model: type[BaseModel]) -> str:
    return "\n\n".join(prose(paragraph) for paragraph in inspect.getdoc(model).split("\n\n"))  # type: ignore[union-attr]


def _options(model: type[BaseModel]) -> str:
    said = {name: words for base in reversed(model.__mro__) for name, words in _comments(base).items()}
    return table(
        ("option", "type", "default", ""),
        [
            (
                code(name),
                code(_type(field.annotation))
                + "".join(f", {code(_limit(each))}" for each in field.metadata if _limit(each)),
                _default(field),
                prose(said.get(name, "")),
            )
            for name, field in model.model_fields.items()
        ],
    )


def _comments(model: type) -> dict[str, str]:
    """The comments beside the fields of a model and above them, which say what a name leaves open."""
    if not issubclass(model, BaseModel) or model.__module__ not in (contract.__name__, connector_options.__name__):
        return {}
    found, above = {}, ""
    for line in inspect.getsource(model).splitlines():
        match = _COMMENT.match(line)
        if match and match["name"]:
            found[match["name"]] = "; ".join(filter(None, (above, match["beside"])))
        above = match["above"] if match and match["above"] else ""
    return {name: words for name, words in found.items() if words and not words.startswith("type:")}


def _type(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is type(None):
        return "null"
    if origin is typing.Literal:
        return " | ".join(repr(each) if each in ("", " ") else str(each) for each in arguments)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(map(_type, arguments))
    if origin in (list, dict):
        return f"{origin.__name__} of {', '.join(map(_type, arguments))}"
    return str(getattr(annotation, "__name__", annotation))


def _limit(metadata: Any) -> str:
    for sign, name in (
        ("≥", "ge"),
        (">", "gt"),
        ("≤", "le"),
        ("<", "lt"),
        ("at least", "min_length"),
        ("matches", "pattern"),
    ):
        if (value := getattr(metadata, name, None)) is not None:
            return f"{sign} {value}"
    return ""


def _default(field: Any) -> str:
    if field.default is PydanticUndefined:
        return "required" if field.default_factory is None else "–"
    if isinstance(field.default, BaseModel):
        return "its defaults"
    return "–" if field.default in (None, [], {}) else code(field.default)


def _nested(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for field in model.model_fields.values():
        for below in _models(field.annotation):
            yield below
            yield from _nested(below)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for each in typing.get_args(annotation):
        yield from _models(each)
