"""The commonest names in Finland, in Finnish, in Swedish and in other languages: names of nobody in particular."""

from __future__ import annotations


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FAMILY_NAMES: dict[str, tuple[str, ...]] = {
    "fi": _names("""
        Korhonen Virtanen Mäkinen Nieminen Mäkelä Hämäläinen Laine Heikkinen Koskinen Järvinen Lehtonen Lehtinen
        Saarinen Salminen Heinonen Niemi Heikkilä Kinnunen Salonen Turunen Salo Laitinen Tuominen Rantanen Karjalainen
        Jokinen Mattila Savolainen Lahtinen Ahonen Ojala Leppänen Väisänen Hiltunen Kallio Miettinen Leinonen Pitkänen
    """),
    "sv": _names("""
        Johansson Nyman Lindholm Karlsson Andersson Lindqvist Eriksson Lindström Nyberg Holmberg Söderström Sjöberg
        Lindroos Sundström Forsström Gustafsson Björklund Bergman Öhman Åberg Grönroos Wikström Ekholm Backman
    """),
    "other": _names("Ivanova Tamm Nguyen Ahmed Kowalska Petrova Saar Hassan Popescu Müller"),
}

GIVEN_NAMES: dict[tuple[str, str], tuple[str, ...]] = {
    ("fi", "2"): _names("""
        Maria Anna Johanna Hanna Sari Tiina Minna Kaisa Päivi Laura Katja Heidi Emilia Aino Elina Riikka Anne Marja
    """),
    ("fi", "1"): _names("""
        Juhani Mikko Antti Jari Timo Marko Ville Janne Petri Matti Jukka Sami Eero Lauri Onni Tuomas Kari Pekka
    """),
    ("sv", "2"): _names("""
        Maria Ann-Sofie Christina Carola Åsa Linda Malin Jenny Ida Emma Camilla Susanne Mikaela Sofia
    """),
    ("sv", "1"): _names("""
        Johan Mikael Kaj Bengt Stefan Fredrik Mats Kim Patrik Jonas Oskar Anders Niklas Robin
    """),
    ("other", "2"): _names("Olga Elena Fatima Maryam Katarzyna Thi Anastasia"),
    ("other", "1"): _names("Andrei Mohamed Piotr Ali Van Sergei Tomas"),
}
"""By language and gender (1 men, 2 women)."""
