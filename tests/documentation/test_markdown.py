"""Words of contracts and docstrings stay words: nothing in them becomes Markdown by accident."""

import pytest
from markdown_it import MarkdownIt

from citydata.documentation import markdown


@pytest.mark.parametrize(
    "words", ["a*b*c", "<b>", "x_y_z", "`tick`", "[link](there)", "pipe | pipe", "1 < 2 & 3", "#1", "~~no~~"]
)
def test_words_are_shown_as_they_are(words: str) -> None:
    html = (
        MarkdownIt("commonmark")
        .enable(["table", "strikethrough"])
        .render(f"| t |\n|---|\n| {markdown.text(words)} |\n")
    )
    shown = html.partition("<td>")[2].partition("</td>")[0]
    assert shown == words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def test_what_stands_between_backticks_is_code() -> None:
    assert markdown.prose("Its number; `batch list` shows\n  them_all.") == "Its number; `batch list` shows them\\_all."


def test_cells_say_their_language() -> None:
    table = "| word | suomi | svenska |\n|---|---|---|\n| batch | erä | parti |\n| – | – | a \\| b |\n"
    assert markdown.with_languages(table).splitlines()[2:] == [
        '| batch | <span lang="fi">erä</span> | <span lang="sv">parti</span> |',
        '| – | – | <span lang="sv">a \\| b</span> |',
    ]
    assert markdown.with_languages("a | suomi\n") == "a | suomi\n"
