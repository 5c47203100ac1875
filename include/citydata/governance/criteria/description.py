"""C1: the dataset is described in the town's languages and has its place in the task classification (906/2019 5 §)."""

import functools
import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from citydata import town
from citydata.governance.evidence import Case, Evidence
from citydata.governance.inventory import Dataset

_NOWHERE_IN_A_DESCRIPTION = (
    *("tbd", "tba", "todo", "fixme", "xxx+", "lorem ipsum", r"\?\?+", "placeholder", "foo ?bar"),
    *("kuvaus (puuttuu|tulossa|kesken|myöhemmin|lisätään)", "ei kuvausta", "täydennetään myöhemmin", "täyteteksti"),
    *("kirjoita (tähän|kuvaus)", "ei (vielä )?(määritelty|määritetty|tiedossa)"),
    *("beskrivning(en)? (saknas|kommer|läggs till|kompletteras)", "ingen beskrivning", "kompletteras senare"),
    *("skriv (här|en beskrivning)", "inte (ännu )?(definierat|fastställt)", "fylls i senare"),
    *("no description", "description (is )?missing", "to be (added|completed|defined|determined|written)"),
    *("write (here|a description)", "not (yet )?defined"),
)
_NO_BEGINNING_OF_A_SENTENCE = (
    *("täydennetään", "täydennettävä", "puuttuu", "tulossa", "kesken", "testi"),
    *("kompletteras", "saknas", "kommer", "ska kompletteras", "ofullständig", "okänt", "test"),
    *("missing", "unknown", "tuntematon", "ei ole", "n/a", "-+$", "–+$"),
)
_PLACEHOLDER = re.compile(
    rf"(?<!\w)(?:{'|'.join(_NOWHERE_IN_A_DESCRIPTION)})(?!\w)"
    rf"|(?:^|[.!;:…]\s)\s*(?:{'|'.join(_NO_BEGINNING_OF_A_SENTENCE)})(?!\w)"
)
_WORD = re.compile(r"[^\W\d_]+")


def is_said(text: str | None) -> bool:
    """Whether somebody has written something: not empty, no mere punctuation, no placeholder in Finnish, Swedish or English."""
    return bool(text and _words(text) and not is_placeholder(text))


def is_placeholder(text: str) -> bool:
    """Whether a text only holds the place of one that is to come."""
    return _PLACEHOLDER.search(" ".join(text.casefold().split())) is not None


@functools.lru_cache(maxsize=4096)
def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.casefold()))


def judge(dataset: Dataset, case: Case) -> list[Evidence]:
    """A row or more for each official language's description and name, one for the task class, one for the process."""
    row = functools.partial(
        Evidence,
        criterion="C1",
        looked_at=f"include/inventory/datasets: {dataset.id}",
        source="906/2019 5 § 2 mom.",
        observed_at=case.now,
        expires_at=case.now + case.method.measurement,
    )
    rows = []
    for language in town.load().languages:
        described = functools.partial(
            row,
            subject=language,
            figure=Decimal(len(set(_words(_description(dataset, language))))),
            threshold=Decimal(case.method.description_words),
            unit="words",
        )
        problems = list(_problems(dataset, language, case))
        if not problems:
            rows.append(described(result="pass", reason="C1.described"))
        for reason, other in problems:
            found = described(result="fail", reason=reason)
            rows.append(replace(found, looked_at=f"include/inventory/datasets: {other}") if other else found)
        named = is_said(_name(dataset, language))
        reason = "C1.named" if named else "C1.no_name"
        rows.append(row(result="pass" if named else "fail", reason=reason, subject=language))
    for reason, subject in (_task_class(dataset, case), _process(dataset, case)):
        passes = reason in ("C1.task_class", "C1.process")
        rows.append(row(result="pass" if passes else "fail", reason=reason, subject=subject))
    return rows


def _description(dataset: Dataset, language: str) -> str:
    return getattr(dataset, f"description_{language}") or ""


def _name(dataset: Dataset, language: str) -> str:
    return getattr(dataset, f"name_{language}") or ""


def _problems(dataset: Dataset, language: str, case: Case) -> Iterator[tuple[str, str | None]]:
    """What is wrong with a description, and the other dataset where it is one's that has the same."""
    text = _description(dataset, language)
    words = _words(text)
    if not words:
        yield "C1.no_description", None
        return
    if is_placeholder(text):
        yield "C1.placeholder_text", None
        return  # what else it lacks nobody needs to know before there is one
    if len(set(words)) < case.method.description_words:
        yield "C1.too_few_words", None
    languages = town.load().languages
    if words in {_words(_name(dataset, other)) for other in languages}:
        yield "C1.same_as_name", None
    if any(words == _words(_description(dataset, other)) for other in languages if other != language):
        yield "C1.same_in_another_language", None
    for other in case.inventory.datasets.values():
        if other.id != dataset.id and words == _words(_description(other, language)):
            yield "C1.same_as_another_dataset", other.id
            return


def _task_class(dataset: Dataset, case: Case) -> tuple[str, str]:
    if dataset.task_class is None:
        return "C1.no_task_class", ""
    known = dataset.task_class in case.inventory.task_classes
    return "C1.task_class" if known else "C1.unknown_task_class", dataset.task_class


def _process(dataset: Dataset, case: Case) -> tuple[str, str]:
    if dataset.process is None:
        return "C1.no_process", ""
    process = case.inventory.processes.get(dataset.process)
    if process is None:
        return "C1.unknown_process", dataset.process
    related = dataset.task_class is not None and _one_is_within(process.task_class, dataset.task_class)
    return "C1.process" if related else "C1.process_of_another_task", dataset.process


def _one_is_within(one: str, other: str) -> bool:
    shorter, longer = sorted((one.split("."), other.split(".")), key=len)
    return longer[: len(shorter)] == shorter
