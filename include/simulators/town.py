"""The synthetic town: organisation, chart of accounts and suppliers."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from simulators import random_for, scaled
from simulators.identifiers import business_id

MUNICIPALITY_CODE = "638"
MUNICIPALITY_NAME = "Porvoo"
SECTORS = ("concern", "education", "urban", "social_health")


@dataclass(frozen=True, slots=True)
class Unit:
    """The smallest part of the organisation: people work in it and invoices are booked to its cost centre."""

    code: str
    name_fi: str
    name_sv: str
    sector: str
    board: str
    result_area: str

    @property
    def cost_centre(self) -> str:
        return f"{self.code}0"


@dataclass(frozen=True, slots=True)
class Trade:
    """What a kind of supplier sells: the accounts it is booked to, the sectors that buy, the usual line in euros."""

    name_fi: str
    name_sv: str
    accounts: tuple[str, ...]
    sectors: tuple[str, ...]
    typical_euros: float


@dataclass(frozen=True, slots=True)
class Supplier:
    name: str
    business_id: str | None
    municipality: str
    trade: Trade
    weight: float
    name_variants: tuple[str, ...] = ()


# (sector, board, result area, [(unit code, Finnish name, Swedish name)])
_ORGANISATION: tuple[tuple[str, str, str, tuple[tuple[str, str, str], ...]], ...] = (
    ("concern", "Keskusvaalilautakunta", "Vaalit", (("1010", "Vaalit", "Val"),)),
    ("concern", "Tarkastuslautakunta", "Tilintarkastus", (("1020", "Ulkoinen tarkastus", "Extern revision"),)),
    (
        "concern",
        "Kaupunginhallitus",
        "Konsernijohto ja hallinto",
        (
            ("1110", "Hallintopalvelut", "Förvaltningstjänster"),
            ("1120", "Viestintä", "Kommunikation"),
            ("1130", "Kirjaamo ja käännöspalvelut", "Registratorskontoret och översättningar"),
        ),
    ),
    (
        "concern",
        "Kaupunginhallitus",
        "Henkilöstöpalvelut",
        (("1210", "Henkilöstöpalvelut", "Personaltjänster"), ("1220", "Työhyvinvointi", "Arbetshälsa")),
    ),
    (
        "concern",
        "Kaupunginhallitus",
        "Talouspalvelut",
        (("1310", "Talouspalvelut", "Ekonomitjänster"), ("1320", "Hankintapalvelut", "Upphandlingstjänster")),
    ),
    (
        "concern",
        "Kaupunginhallitus",
        "Tietohallinto",
        (("1410", "Tietohallinto", "Dataförvaltningen"), ("1420", "Digipalvelut", "Digitala tjänster")),
    ),
    (
        "concern",
        "Kaupunginhallitus",
        "Elinvoimapalvelut",
        (
            ("1510", "Elinkeinopalvelut", "Näringslivstjänster"),
            ("1520", "Työllisyyspalvelut", "Sysselsättningstjänster"),
            ("1530", "Matkailu", "Turism"),
        ),
    ),
    (
        "education",
        "Sivistyslautakunta",
        "Sivistyksen hallinto",
        (("2010", "Sivistyksen hallinto", "Bildningens förvaltning"),),
    ),
    (
        "education",
        "Sivistyslautakunta",
        "Varhaiskasvatus",
        (
            ("2110", "Päiväkoti Tammenterho", "Daghemmet Ekollonet"),
            ("2120", "Päiväkoti Joenranta", "Daghemmet Åstranden"),
            ("2130", "Päiväkoti Kevätpuro", "Daghemmet Vårbäcken"),
            ("2140", "Päiväkoti Saaristo", "Daghemmet Skärgården"),
            ("2150", "Perhepäivähoito", "Familjedagvård"),
            ("2160", "Avoin varhaiskasvatus", "Öppen småbarnspedagogik"),
        ),
    ),
    (
        "education",
        "Suomenkielinen koulutusjaosto",
        "Suomenkielinen perusopetus",
        (
            ("2210", "Peippolan harjoituskoulu", "Peippola övningsskola"),
            ("2220", "Keskustan yhtenäiskoulu", "Centrums enhetsskola"),
            ("2230", "Joenvarren koulu", "Ådalens finska skola"),
            ("2240", "Itäinen alakoulu", "Östra lågstadieskolan"),
            ("2250", "Iltapäivätoiminta", "Eftermiddagsverksamhet"),
        ),
    ),
    (
        "education",
        "Ruotsinkielinen koulutusjaosto",
        "Ruotsinkielinen perusopetus",
        (
            ("2310", "Ruotsinkielinen keskuskoulu", "Svenska centralskolan"),
            ("2320", "Rantakoulu", "Strandskolan"),
            ("2330", "Saariston koulu", "Skärgårdsskolan"),
        ),
    ),
    (
        "education",
        "Suomenkielinen koulutusjaosto",
        "Suomenkielinen lukiokoulutus",
        (("2410", "Suomenkielinen lukio", "Finska gymnasiet"),),
    ),
    (
        "education",
        "Ruotsinkielinen koulutusjaosto",
        "Ruotsinkielinen lukiokoulutus",
        (("2420", "Ruotsinkielinen lukio", "Svenska gymnasiet"),),
    ),
    (
        "education",
        "Kulttuuri- ja hyvinvointilautakunta",
        "Kirjastopalvelut",
        (("2510", "Pääkirjasto", "Huvudbiblioteket"), ("2520", "Kirjastoauto", "Bokbussen")),
    ),
    (
        "education",
        "Kulttuuri- ja hyvinvointilautakunta",
        "Kulttuuripalvelut",
        (("2610", "Kulttuuripalvelut", "Kulturtjänster"), ("2620", "Kansalaisopisto", "Medborgarinstitutet")),
    ),
    (
        "education",
        "Kulttuuri- ja hyvinvointilautakunta",
        "Liikuntapalvelut",
        (("2710", "Uimahalli", "Simhallen"), ("2720", "Ulkoliikuntapaikat", "Utomhusidrottsplatser")),
    ),
    (
        "education",
        "Kulttuuri- ja hyvinvointilautakunta",
        "Nuorisopalvelut",
        (("2810", "Nuorisotilat", "Ungdomslokaler"), ("2820", "Etsivä nuorisotyö", "Uppsökande ungdomsarbete")),
    ),
    (
        "urban",
        "Kaupunkikehityslautakunta",
        "Kaupunkikehityksen hallinto",
        (("3010", "Kaupunkikehityksen hallinto", "Stadsutvecklingens förvaltning"),),
    ),
    (
        "urban",
        "Kaupunkikehityslautakunta",
        "Kaupunkisuunnittelu",
        (("3110", "Kaavoitus", "Planläggning"), ("3120", "Liikennesuunnittelu", "Trafikplanering")),
    ),
    (
        "urban",
        "Kaupunkikehityslautakunta",
        "Kuntatekniikka",
        (
            ("3210", "Katujen kunnossapito", "Gatuunderhåll"),
            ("3220", "Viheralueet", "Grönområden"),
            ("3230", "Konekorjaamo", "Maskinverkstaden"),
        ),
    ),
    (
        "urban",
        "Kaupunkikehityslautakunta",
        "Toimitilajohto",
        (("3310", "Kiinteistönhoito", "Fastighetsskötsel"), ("3320", "Rakennuttaminen", "Byggherreverksamhet")),
    ),
    (
        "urban",
        "Kaupunkikehityslautakunta",
        "Ruoka- ja siivouspalvelut",
        (
            ("3410", "Keskuskeittiö", "Centralköket"),
            ("3420", "Jakelukeittiöt", "Distributionskök"),
            ("3430", "Siivouspalvelut", "Städtjänster"),
        ),
    ),
    (
        "urban",
        "Kaupunkikehityslautakunta",
        "Maaomaisuus ja paikkatieto",
        (("3510", "Maapolitiikka", "Markpolitik"), ("3520", "Paikkatieto ja mittaus", "Geodata och mätning")),
    ),
    ("urban", "Lupa- ja ympäristölautakunta", "Rakennusvalvonta", (("3610", "Rakennusvalvonta", "Byggnadstillsynen"),)),
    ("urban", "Lupa- ja ympäristölautakunta", "Ympäristönsuojelu", (("3620", "Ympäristönsuojelu", "Miljövården"),)),
    (
        "social_health",
        "Sosiaali- ja terveyslautakunta",
        "Terveyspalvelut",
        (("4110", "Terveysasema", "Hälsostationen"), ("4120", "Hammashoito", "Tandvården")),
    ),
    (
        "social_health",
        "Sosiaali- ja terveyslautakunta",
        "Vanhus- ja vammaispalvelut",
        (("4210", "Kotihoito", "Hemvården"), ("4220", "Palvelutalo", "Servicehuset")),
    ),
    (
        "social_health",
        "Sosiaali- ja terveyslautakunta",
        "Sosiaali- ja perhepalvelut",
        (("4310", "Lastensuojelu", "Barnskyddet"), ("4320", "Aikuissosiaalityö", "Vuxensocialarbetet")),
    ),
)

UNITS: tuple[Unit, ...] = tuple(
    Unit(code, name_fi, name_sv, sector, board, result_area)
    for sector, board, result_area, units in _ORGANISATION
    for code, name_fi, name_sv in units
)

# The purchase part of the municipal chart of accounts (State Treasury, AURA account list): account and name.
ACCOUNTS: dict[str, str] = {
    "4300": "Asiakaspalvelujen ostot valtiolta",
    "4310": "Asiakaspalvelujen ostot kunnilta",
    "4311": "Asiakaspalvelujen ostot kuntayhtymiltä",
    "4315": "Palveluseteli",
    "4330": "Asiakaspalvelujen ostot muilta",
    "4340": "Asiantuntijapalvelut",
    "4341": "Toimistopalvelut",
    "4342": "ICT-palvelut",
    "4343": "Tietotekniikkapalvelut",
    "4344": "Rahoitus- ja pankkipalvelut",
    "4346": "Työvoiman vuokraus",
    "4347": "Tulkkauspalvelut",
    "4350": "Painatukset, ilmoitukset ja markkinointi",
    "4360": "Posti- ja kuriiripalvelut",
    "4370": "Vakuutukset",
    "4380": "Puhtaanapito- ja pesulapalvelut",
    "4390": "Rakennusten ja alueiden rakentamis- ja kunnossapitopalvelut",
    "4400": "Koneiden, kaluston ja laitteiden rakentamis- ja kunnossapitopalvelut",
    "4410": "Majoitus- ja ravitsemispalvelut",
    "4420": "Matkustus- ja kuljetuspalvelut",
    "4430": "Sosiaali- ja terveyspalvelut",
    "4440": "Koulutus- ja kulttuuripalvelut",
    "4445": "Koulutuskorvaukset työnantajille",
    "4450": "Osuus verotuskustannuksiin",
    "4460": "Muut yhteistoimintaosuudet",
    "4470": "Muut palvelut",
    "4480": "Aktivoidut palvelujen ostot",
    "4500": "Toimisto- ja koulutarvikkeet",
    "4510": "Kirjallisuus",
    "4520": "Elintarvikkeet",
    "4530": "Vaatteisto ja tekstiilit",
    "4533": "Lääkkeet",
    "4534": "Hoitotarvikkeet",
    "4550": "Puhdistusaineet ja -tarvikkeet",
    "4560": "Poltto- ja voiteluaineet",
    "4568": "Lämmitys",
    "4569": "Sähkö ja kaasu",
    "4570": "Vesi",
    "4580": "Kalusto",
    "4590": "Rakennusmateriaali",
    "4600": "Muu materiaali",
    "4640": "Aktivoidut aineet, tarvikkeet ja tavarat",
    "4710": "Omaishoidon tuki",
    "4712": "Kotihoidon tuki",
    "4713": "Kotihoidon tuen kuntalisä",
    "4714": "Yksityisen hoidon tuki",
    "4715": "Yksityisen hoidon tuen kuntalisä",
    "4716": "Osittainen hoitoraha",
    "4717": "Joustava hoitoraha",
    "4739": "Muut avustukset kotitalouksille",
    "4742": "Avustukset yhteisöille",
    "4810": "Maa- ja vesialueiden vuokrat",
    "4820": "Rakennusten ja huoneistojen vuokrat",
    "4822": "Ylläpitovuokra",
    "4830": "Koneiden ja laitteiden vuokrat",
    "4831": "ICT-laitteiden vuokrat",
    "4890": "Muut vuokrat",
    "4901": "Jätevero",
    "4910": "Muut välilliset ja välittömät verot",
    "4921": "Luottotappiot",
    "4940": "Muut toimintakulut",
    "4990": "Aktivoidut muut kulut",
    "6320": "Viivästyskorot ja korotukset",
    "6380": "Muut rahoituskulut",
}

_ALL = ("concern", "education", "urban")
TRADES: tuple[Trade, ...] = (
    Trade("Rakennus", "Bygg", ("4390", "4480", "4640"), ("urban",), 4200),
    Trade("Putki", "Rör", ("4390", "4590"), ("urban",), 780),
    Trade("Sähkö", "El", ("4390", "4400", "4569"), ("urban", "education"), 640),
    Trade("Lämpö", "Värme", ("4568", "4570"), ("urban", "education"), 1900),
    Trade("Maansiirto", "Schakt", ("4390", "4830"), ("urban",), 2600),
    Trade("Viheraines", "Trädgård", ("4600", "4390"), ("urban",), 410),
    Trade("Elintarvike", "Livsmedel", ("4520", "4410"), ("urban", "education"), 330),
    Trade("Siivous", "Städ", ("4380", "4550"), ("urban", "education"), 290),
    Trade("Ohjelmisto", "Programvara", ("4342", "4343", "4831"), ("concern", "education"), 1500),
    Trade("Konsultti", "Konsult", ("4340",), ("concern", "urban"), 3100),
    Trade("Toimistotarvike", "Kontor", ("4500", "4341", "4580"), _ALL, 95),
    Trade("Kirja", "Bok", ("4510", "4500"), ("education",), 60),
    Trade("Koulutus", "Utbildning", ("4440", "4445"), _ALL, 720),
    Trade("Linja-auto", "Buss", ("4420",), ("education",), 1250),
    Trade("Huolto", "Service", ("4400", "4560"), ("urban",), 350),
    Trade("Työvoima", "Bemanning", ("4346", "4347"), ("education", "concern"), 980),
    Trade("Paino", "Tryck", ("4350",), ("concern", "education"), 240),
    Trade("Vakuutus", "Försäkring", ("4370", "4344"), ("concern",), 2100),
    Trade("Hoiva", "Omsorg", ("4315", "4330", "4430"), ("education",), 1400),
    Trade("Toimitila", "Lokal", ("4820", "4810", "4822", "4890"), ("urban", "concern"), 5200),
    Trade("Yhdistys", "Förening", ("4742", "4470"), ("education", "concern"), 600),
    Trade("Kuljetus", "Frakt", ("4360", "4420", "4470"), _ALL, 55),
)

_MUNICIPALITIES = (
    "Porvoo",
    "Helsinki",
    "Espoo",
    "Vantaa",
    "Sipoo",
    "Loviisa",
    "Askola",
    "Myrskylä",
    "Pornainen",
    "Lahti",
    "Tampere",
    "Turku",
    "Kouvola",
    "Ei tiedossa",
    "Ulkomaat",
)
_MUNICIPALITY_WEIGHTS = (34, 20, 6, 6, 4, 4, 2, 1, 1, 2, 3, 2, 2, 10, 3)
_PREFIXES_FI = ("Esimerkki", "Malli", "Koe", "Testi", "Keksitty")
_PREFIXES_SV = ("Exempel", "Prov", "Påhitt")


def _supplier(number: int, rng: random.Random, *, known: bool) -> Supplier:
    trade = TRADES[number % len(TRADES)]
    finnish, association = rng.random() < 0.75, trade.name_fi == "Yhdistys"
    if finnish:
        form = "ry" if association else rng.choice(("Oy", "Oy", "Oy", "Oyj", "Ky", "Tmi"))
        name = f"{rng.choice(_PREFIXES_FI)}-{trade.name_fi} {number:03d} {form}"
    else:
        form = "rf" if association else rng.choice(("Ab", "Ab", "Oy Ab"))
        name = f"{rng.choice(_PREFIXES_SV)}{trade.name_sv.lower()} {number:03d} {form}"
    municipality = rng.choices(_MUNICIPALITIES, _MUNICIPALITY_WEIGHTS)[0]
    identifier = None
    if known:
        # Seven digits that start with 9 have not been given to anybody: the register is at 3.5 million.
        candidate = 9_000_000 + 11 * number
        while (identifier := business_id(candidate)) is None:
            candidate += 1
    else:
        municipality = rng.choice(("Ulkomaat", "Ei tiedossa"))
    variants: tuple[str, ...] = ()
    if known and number % 10 == 1:
        variants = (name.upper(), name.replace("-", " "))
    # A few suppliers get most of the invoices, as in every town.
    return Supplier(name, identifier, municipality, trade, rng.paretovariate(1.1), variants)


def new_supplier(seed: int, number: int) -> Supplier:
    """The supplier that has this running number; the same for every day and scale."""
    return _supplier(number, random_for(seed, "supplier", number), known=True)


def suppliers(seed: int, scale: float) -> list[Supplier]:
    """Day 0: suppliers with a business id, one name that has two ids, then those without an id (abroad, unknown)."""
    count = scaled(400, scale, minimum=24)
    known = [new_supplier(seed, number) for number in range(1, count + 1)]
    known[-1] = replace(known[-1], name=known[0].name)
    nameless = [
        _supplier(number, random_for(seed, "supplier without id", number), known=False)
        for number in range(50_001, 50_001 + scaled(12, scale))
    ]
    return known + nameless
