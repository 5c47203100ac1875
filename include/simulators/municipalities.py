"""Municipalities of the synthetic country: names and areas as in Finland, populations rounded and otherwise invented."""

from __future__ import annotations

from typing import NamedTuple


class Municipality(NamedTuple):
    """`county` is the wellbeing services county; Helsinki and Åland stand for themselves."""

    code: str
    name_fi: str
    name_sv: str
    region: str
    county: str
    inhabitants: int


def _read(table: str) -> tuple[Municipality, ...]:
    rows = (line.split("|") for line in table.splitlines())
    return tuple(Municipality(*names, int(hundreds) * 100) for *names, hundreds in rows)  # type: ignore[call-arg,arg-type]


# Porvoo first, then those of its county and some of about its size, the rest of Uusimaa, and larger towns.
MUNICIPALITIES = _read(
    """\
638|Porvoo|Borgå|01|01|507
018|Askola|Askola|01|01|49
407|Lapinjärvi|Lappträsk|01|01|25
434|Loviisa|Lovisa|01|01|147
504|Myrskylä|Mörskom|01|01|18
616|Pukkila|Pukkila|01|01|18
753|Sipoo|Sibbo|01|01|220
106|Hyvinkää|Hyvinge|01|02|467
186|Järvenpää|Träskända|01|02|450
092|Vantaa|Vanda|01|04|2420
109|Hämeenlinna|Tavastehus|05|07|679
405|Lappeenranta|Villmanstrand|09|11|727
049|Espoo|Esbo|01|03|3050
078|Hanko|Hangö|01|03|78
091|Helsinki|Helsingfors|01|90|6640
149|Inkoo|Ingå|01|03|54
224|Karkkila|Högfors|01|03|85
235|Kauniainen|Grankulla|01|03|102
245|Kerava|Kervo|01|04|379
257|Kirkkonummi|Kyrkslätt|01|03|409
444|Lohja|Lojo|01|03|456
505|Mäntsälä|Mäntsälä|01|02|208
543|Nurmijärvi|Nurmijärvi|01|02|447
611|Pornainen|Borgnäs|01|02|50
710|Raasepori|Raseborg|01|03|272
755|Siuntio|Sjundeå|01|03|61
858|Tuusula|Tusby|01|02|412
927|Vihti|Vichtis|01|03|290
285|Kotka|Kotka|08|10|508
286|Kouvola|Kouvola|08|10|792
743|Seinäjoki|Seinäjoki|14|16|660
698|Rovaniemi|Rovaniemi|19|21|646
491|Mikkeli|S:t Michel|10|12|521
734|Salo|Salo|02|05|510
684|Rauma|Raumo|04|06|386
272|Kokkola|Karleby|16|18|479
905|Vaasa|Vasa|15|17|679
398|Lahti|Lahtis|07|09|1202
167|Joensuu|Joensuu|12|14|776
853|Turku|Åbo|02|05|1979
837|Tampere|Tammerfors|06|08|2491
564|Oulu|Uleåborg|17|19|2115
179|Jyväskylä|Jyväskylä|13|15|1456
297|Kuopio|Kuopio|11|13|1225
609|Pori|Björneborg|04|06|832
202|Kaarina|S:t Karins|02|05|354
536|Nokia|Nokia|06|08|352
694|Riihimäki|Riihimäki|05|07|284
205|Kajaani|Kajana|18|20|363
153|Imatra|Imatra|09|11|252
075|Hamina|Fredrikshamn|08|10|194
478|Maarianhamina|Mariehamn|21|91|117"""
)

REGIONS = {
    "01": ("Uusimaa", "Nyland"),
    "02": ("Varsinais-Suomi", "Egentliga Finland"),
    "04": ("Satakunta", "Satakunta"),
    "05": ("Kanta-Häme", "Egentliga Tavastland"),
    "06": ("Pirkanmaa", "Birkaland"),
    "07": ("Päijät-Häme", "Päijänne-Tavastland"),
    "08": ("Kymenlaakso", "Kymmenedalen"),
    "09": ("Etelä-Karjala", "Södra Karelen"),
    "10": ("Etelä-Savo", "Södra Savolax"),
    "11": ("Pohjois-Savo", "Norra Savolax"),
    "12": ("Pohjois-Karjala", "Norra Karelen"),
    "13": ("Keski-Suomi", "Mellersta Finland"),
    "14": ("Etelä-Pohjanmaa", "Södra Österbotten"),
    "15": ("Pohjanmaa", "Österbotten"),
    "16": ("Keski-Pohjanmaa", "Mellersta Österbotten"),
    "17": ("Pohjois-Pohjanmaa", "Norra Österbotten"),
    "18": ("Kainuu", "Kajanaland"),
    "19": ("Lappi", "Lappland"),
    "21": ("Ahvenanmaa", "Åland"),
}

COUNTIES = {
    "01": ("Itä-Uudenmaan hyvinvointialue", "Östra Nylands välfärdsområde"),
    "02": ("Keski-Uudenmaan hyvinvointialue", "Mellersta Nylands välfärdsområde"),
    "03": ("Länsi-Uudenmaan hyvinvointialue", "Västra Nylands välfärdsområde"),
    "04": ("Vantaan ja Keravan hyvinvointialue", "Vanda och Kervo välfärdsområde"),
    "05": ("Varsinais-Suomen hyvinvointialue", "Egentliga Finlands välfärdsområde"),
    "06": ("Satakunnan hyvinvointialue", "Satakunta välfärdsområde"),
    "07": ("Kanta-Hämeen hyvinvointialue", "Egentliga Tavastlands välfärdsområde"),
    "08": ("Pirkanmaan hyvinvointialue", "Birkalands välfärdsområde"),
    "09": ("Päijät-Hämeen hyvinvointialue", "Päijänne-Tavastlands välfärdsområde"),
    "10": ("Kymenlaakson hyvinvointialue", "Kymmenedalens välfärdsområde"),
    "11": ("Etelä-Karjalan hyvinvointialue", "Södra Karelens välfärdsområde"),
    "12": ("Etelä-Savon hyvinvointialue", "Södra Savolax välfärdsområde"),
    "13": ("Pohjois-Savon hyvinvointialue", "Norra Savolax välfärdsområde"),
    "14": ("Pohjois-Karjalan hyvinvointialue", "Norra Karelens välfärdsområde"),
    "15": ("Keski-Suomen hyvinvointialue", "Mellersta Finlands välfärdsområde"),
    "16": ("Etelä-Pohjanmaan hyvinvointialue", "Södra Österbottens välfärdsområde"),
    "17": ("Pohjanmaan hyvinvointialue", "Österbottens välfärdsområde"),
    "18": ("Keski-Pohjanmaan hyvinvointialue", "Mellersta Österbottens välfärdsområde"),
    "19": ("Pohjois-Pohjanmaan hyvinvointialue", "Norra Österbottens välfärdsområde"),
    "20": ("Kainuun hyvinvointialue", "Kajanalands välfärdsområde"),
    "21": ("Lapin hyvinvointialue", "Lapplands välfärdsområde"),
    "90": ("Helsingin kaupunki", "Helsingfors stad"),
    "91": ("Ahvenanmaa", "Åland"),
}
