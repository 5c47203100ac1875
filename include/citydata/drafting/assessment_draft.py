"""The drafted assessment of the change (muutosvaikutusten arviointi, tiedonhallintalaki 906/2019 5 § 3 mom.), in Finnish.

What the contract and the inventory say is filled in; a point that begins with the word of `OPEN` waits for a person.
"""

from citydata.drafting.answers import Dataset
from citydata.drafting.contract_draft import PUBLIC, art30_id
from citydata.drafting.proposal import Proposal
from citydata.drafting.sample import Sample
from citydata.governance.inventory import Inventory

OPEN = "Täydennettävä:"

_CONNECTORS = {
    "files": "tiedostoina siirtohakemistosta", "sql": "tietokannasta lukuoikeudella", "ogc": "paikkatietorajapinnasta",
    "rest": "rajapinnasta HTTP:llä",
}  # fmt: skip
_PERSONAL = {
    "identity_code": "henkilötunnus (tallennetaan vain avaimellinen pseudonyymi)", "pseudonym": "henkilön tunniste lähteessä",
    "name": "nimi", "birth": "syntymäaika tai ikä", "contact": "yhteystieto", "free_text": "vapaa teksti",
    "employment": "palvelussuhteen tai henkilön perustieto", "protection": "turvakielto", "care": "asiakkuus tai hoito",
    "health": "terveystieto",
}  # fmt: skip


def _or_open(value: str | None, question: str) -> str:
    return value or f"{OPEN} {question}"


def render(dataset: Dataset, found: Sample, proposal: Proposal, inventory: Inventory) -> str:
    """The assessment as markdown."""
    said = dataset.answers
    people = inventory.people
    owner = people[said.owner].title_fi if said.owner and said.owner in people else None
    steward = people[said.steward].title_fi if said.steward and said.steward in people else None
    pool = inventory.tietovarannot.get(said.tietovaranto or "")
    process = inventory.processes.get(said.process or "")
    system = inventory.systems.get(said.information_system or "")
    personal = list(dict.fromkeys(column.personal for column in proposal.columns if column.personal))
    guarded = sum(column.guess is not None for column in proposal.columns)
    lines = [
        f"# Muutosvaikutusten arviointi: {said.name_fi or dataset.id}",
        "",
        f"Tiedonhallintalain (906/2019) 5 §:n 3 momentin mukainen arviointi aineiston `{dataset.id}` lisäämisestä tietoalustalle.",
        "Pohjan on tehnyt `./citydata new`; arvioinnin tekee omistaja tiedonhallintapäällikön kanssa ennen käyttöönottoa.",
        "",
        "## 1. Muutos",
        "",
        f"- Mitä muuttuu: {_or_open(said.description_fi, 'mitä aineisto sisältää, mistä alkaen ja mihin sitä käytetään')}",
        f"- Käyttötarkoitus: {_or_open(said.purpose, 'mihin tietoa käytetään tietoalustalla')}",
        f"- Tietojärjestelmä: {_or_open(system.name_fi if system else None, 'mistä tietojärjestelmästä tieto tulee')}",
        f"- Tietovaranto: {_or_open(pool.name_fi if pool else None, 'mihin tietovarantoon aineisto kuuluu')}",
        f"- Toimintaprosessi: {_or_open(process.name_fi if process else None, 'missä prosessissa tieto syntyy')}",
        "",
        "## 2. Tiedonhallinnan vastuut (4 §)",
        "",
        f"- Omistaja: {_or_open(owner, 'kuka vastaa aineistosta')}",
        f"- Vastuuhenkilö: {_or_open(steward, 'kuka tuntee aineiston ja pitää sen kuvauksen ajan tasalla')}",
        f"- Rekisterinpitäjä tai vastuuviranomainen: {said.authority or 'kaupunki'}",
        "",
        "## 3. Tietoturvallisuus (4 luku)",
        "",
        f"- Siirtotapa: {_CONNECTORS[found.connector['type']]}; alkuperäinen aineisto sinetöidään arkistoon"
        f"{' salattuna' if proposal.personal else ''}.",
        f"- Käyttöoikeudet: annetaan sarakkeiden luokituksen mukaan; {len(proposal.columns)} sarakkeesta {guarded} on luokiteltu"
        " varovaisesti, kunnes ylläpitäjä vahvistaa luokituksen.",
        f"- Riskit: {OPEN} mitä riskejä siirtoon, säilytykseen ja käyttöön liittyy ja miten niihin varaudutaan",
        "",
        "## 4. Tietoaineistojen muodostaminen ja luovutustapa (5 luku)",
        "",
        f"- Säilytysaika ja peruste: {_or_open(_retention(dataset), 'aika, peruste, ajan alku ja mitä sen jälkeen tehdään (21 §)')}",
        f"- Päivitys: {_or_open(f'aikataululla {said.schedule}' if said.schedule else None, 'milloin lähdettä saa lukea')}",
        "- Laatu: rakenteelliset säännöt sopimuksessa, sisältöä koskevat säännöt laatusäännöstössä; virheelliset rivit eristetään.",
        "",
        "## 5. Asianhallinta ja palvelujen tiedonhallinta (6 luku)",
        "",
        f"- Tehtäväluokka: {_or_open(said.task_class, 'kuntien tehtäväluokituksen luokka')}",
        "",
        "## 6. Julkisuus, salassapito, suoja ja tiedonsaantioikeudet",
        "",
        f"- Julkisuus: {_or_open(said.publicity, 'julkinen, osittain salassa pidettävä vai salassa pidettävä')}",
        *_secrecy(dataset),
        *_about_people(dataset, personal),
        "",
        "## 7. Yhteentoimivuus ja hyödynnettävyys",
        "",
        f"- Muut aineistot ja rajapinnat: {OPEN} mihin aineistoihin tieto yhdistetään, millä tunnuksilla, ja kuka muu sitä tarvitsee",
        "",
        "## 8. Kustannukset ja vaikutukset toimintaan",
        "",
        f"- Kustannukset: {OPEN} käyttöönoton ja ylläpidon kustannukset ja työmäärä, myös lähdejärjestelmän toimittajalle",
        "",
        "## 9. Johtopäätös",
        "",
        f"- Päätös: {_or_open(said.approval, 'kuka päätti käyttöönotosta, milloin ja millä asiakirjalla')}",
        "",
    ]  # fmt: skip
    return "\n".join(lines)


def _retention(dataset: Dataset) -> str | None:
    said = dataset.answers
    parts = (said.retention, said.retention_ground, said.retention_starts, said.retention_then)
    return "; ".join(part for part in parts if part) if all(parts) else None


def _secrecy(dataset: Dataset) -> list[str]:
    if dataset.answers.publicity == PUBLIC:
        return []
    ground = _or_open(dataset.answers.secrecy_ground, "säännös, jonka nojalla tieto on salassa pidettävää")
    return [f"- Salassapitoperuste: {ground}"]


def _about_people(dataset: Dataset, personal: list[str]) -> list[str]:
    if not personal:
        return ["- Henkilötiedot: otoksen perusteella ei ole; ylläpitäjä vahvistaa asian sopimuksen luokituksissa."]
    kinds = ", ".join(_PERSONAL[kind] for kind in personal)
    basis = _or_open(dataset.answers.legal_basis, "GDPR 6 artiklan mukainen peruste ja laki")
    return [
        f"- Henkilötiedot (ehdotus otoksen perusteella): {kinds}. Seloste käsittelytoimista: {art30_id(dataset)}.",
        f"- Käsittelyn oikeusperuste: {basis}",
        f"- Vaikutustenarviointi (GDPR 35 artikla): {OPEN} tarvitaanko, ja jos, milloin tietosuojavastaava antoi lausuntonsa",
    ]
