"""Edits of a contract's file: only what changes is written anew; order, layout and comments stay."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from citydata.contract import Column, version_parts


@dataclass(frozen=True)
class NewColumn:
    """A column that a source has new: optional, as its older rows have no value for it."""

    title: str
    name: str
    type: str
    classification: str
    fi: str
    sv: str | None
    en: str
    format: str | None = None
    personal_data: str | None = None


@dataclass(frozen=True)
class Edit:
    """What is written in place of the characters from `start` to `end`."""

    start: int
    end: int
    text: str


def bumped(version: str, part: Literal["major", "minor"]) -> str:
    """The next version by Semantic Versioning 2.0.0: major for what readers may miss, minor for what is added or renamed.

    A column that is renamed at the source keeps its name on the platform, so nothing breaks for its readers.
    """
    major, minor, _ = version_parts(version)
    return f"{major + 1}.0.0" if part == "major" else f"{major}.{minor + 1}.0"


class ContractFile:
    """The text of a contract and the edits that are gathered for it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._line_end = "\r\n" if "\r\n" in text else "\n"
        self._edits: list[Edit] = []
        # The loader in Python: its marks count characters.
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        assert isinstance(root, yaml.MappingNode)  # it was read as a contract
        self._root = root

    def edited(self) -> str:
        """The text with all edits."""
        text = self.text
        # From the end, so that places stay; of two at one place, the one that was asked for first comes first.
        in_order = sorted(self._edits, key=lambda one: one.start)
        for edit in reversed(in_order):
            text = text[: edit.start] + edit.text + text[edit.end :]
        return text

    def set_version(self, version: str) -> None:
        """Write another version."""
        node = _value(self._root, "version")
        quote = node.style if node.style in ("'", '"') else ""
        self._replace(node, f"{quote}{version}{quote}")

    def rename(self, column: Column, title: str) -> None:
        """Give a column another title, and keep its last one among the former."""
        node = self._column(column.name)
        own = _child(node, "physicalName")
        if own is not None:
            self._replace(own, _quoted(title))
        else:
            self._after(node, _value(node, "name"), f"physicalName: {_quoted(title)}")
        former = [name for name in (*column.settings.formerNames, column.source_name) if name != title]
        self._set_property(node, "formerNames", f"[{', '.join(map(_quoted, former))}]")

    def remove(self, column: Column, version: str) -> None:
        """Say that the source does not send a column any more. Its rows of before stay, and so does its name."""
        self._set_property(self._column(column.name), "removedIn", _quoted(version))

    def add(self, new: NewColumn, version: str) -> None:
        """Write a column below the last one."""
        columns = self._columns()
        lines = [f"- name: {new.name}", f"  physicalName: {_quoted(new.title)}", f"  logicalType: {new.type}"]
        if new.format:
            lines.append(f"  logicalTypeOptions: {{format: {_quoted(new.format)}}}")
        lines += [f"  classification: {new.classification}", f"  description: {_quoted(new.fi)}", "  customProperties:"]
        properties = {"description_sv": new.sv, "description_en": new.en, "personalData": new.personal_data}
        for name, value in (properties | {"addedIn": version}).items():
            if value:
                lines.append(f"    - {{property: {name}, value: {_quoted(value)}}}")
        indent = " " * columns.start_mark.column
        self._insert_below(columns, "".join(f"{indent}{line}{self._line_end}" for line in lines))

    def _columns(self) -> yaml.SequenceNode:
        schema = _value(self._root, "schema")
        assert isinstance(schema, yaml.SequenceNode)
        columns = _value(schema.value[0], "properties")
        assert isinstance(columns, yaml.SequenceNode)
        return columns

    def _column(self, name: str) -> yaml.MappingNode:
        for node in self._columns().value:
            if _value(node, "name").value == name:
                assert isinstance(node, yaml.MappingNode)
                return node
        raise KeyError(name)

    def _set_property(self, column: yaml.MappingNode, name: str, value: str) -> None:
        """Give a custom property of a column a value, which is written as it stands."""
        properties = _value(column, "customProperties")
        assert isinstance(properties, yaml.SequenceNode)  # every column has its descriptions there
        for entry in properties.value:
            if _value(entry, "property").value == name:
                self._replace(_value(entry, "value"), value)
                return
        written = f"{{property: {name}, value: {value}}}"
        if properties.flow_style:
            end = properties.value[-1].end_mark.index
            self._edits.append(Edit(end, end, f", {written}"))
        else:
            indent = " " * properties.start_mark.column
            self._insert_below(properties, f"{indent}- {written}{self._line_end}")

    def _replace(self, node: yaml.Node, text: str) -> None:
        self._edits.append(Edit(node.start_mark.index, node.end_mark.index, text))

    def _after(self, owner: yaml.MappingNode, node: yaml.Node, text: str) -> None:
        """Write a key and its value behind another of the same mapping."""
        if owner.flow_style:
            end = node.end_mark.index
            self._edits.append(Edit(end, end, f", {text}"))
        else:
            indent = " " * owner.start_mark.column
            self._insert_below(node, f"{indent}{text}{self._line_end}")

    def _insert_below(self, node: yaml.Node, lines: str) -> None:
        """Write whole lines below the last one of a node; comments behind it on that line stay where they are."""
        end = self.text.find("\n", max(leaf.end_mark.index for leaf in _leaves(node)) - 1) + 1
        if not end:  # the file ends without a line end
            self._edits.append(Edit(len(self.text), len(self.text), self._line_end + lines))
        else:
            self._edits.append(Edit(end, end, lines))


def _leaves(node: yaml.Node) -> Iterator[yaml.Node]:
    """Scalars and flow collections: a block collection ends where the next thing begins, after comments and blank lines."""
    if not isinstance(node, yaml.CollectionNode) or node.flow_style or not node.value:
        yield node
    elif isinstance(node, yaml.MappingNode):
        for _, value in node.value:
            yield from _leaves(value)
    else:
        for value in node.value:
            yield from _leaves(value)


def _child(node: yaml.Node, key: str) -> Any:
    return next((value for name, value in node.value if name.value == key), None)


def _value(node: yaml.Node, key: str) -> Any:
    found = _child(node, key)
    assert found is not None  # the contract could be read
    return found


def _quoted(text: str) -> str:
    """A text as YAML's double-quoted scalar, which JSON's strings are."""
    return json.dumps(text, ensure_ascii=False)
