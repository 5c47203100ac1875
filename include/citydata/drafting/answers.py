"""What a person knows about a dataset and no sample shows. What is not answered stays empty in the draft."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Question:
    """A question to a person: its option, what is asked, and who decides it."""

    name: str
    text: str
    decides: str


@dataclass(frozen=True)
class Answers:
    """The answers; None is “I do not know”. Ids are those of the inventory."""

    name_fi: str | None = None
    name_sv: str | None = None
    description_fi: str | None = None
    description_sv: str | None = None
    description_en: str | None = None
    domain: str | None = None
    owner: str | None = None
    steward: str | None = None
    contact: str | None = None
    authority: str | None = None
    tietovaranto: str | None = None
    task_class: str | None = None
    process: str | None = None
    purpose: str | None = None
    legal_basis: str | None = None
    publicity: str | None = None
    secrecy_ground: str | None = None
    retention: str | None = None
    retention_ground: str | None = None
    retention_starts: str | None = None
    retention_then: str | None = None
    schedule: str | None = None
    information_system: str | None = None
    sector: str | None = None
    kind: str | None = None
    criticality: str | None = None
    art30: str | None = None
    inventory: str | None = None
    approved_by: str | None = None
    approval: str | None = None


QUESTIONS = (
    Question("name_fi", "Name of the dataset in Finnish", "the owner: what the dataset is called"),
    Question("name_sv", "Name in Swedish", "the owner: what the dataset is called in Swedish"),
    Question(
        "description_fi", "What it holds, in Finnish", "the owner: what it holds, since when, what it is used for"
    ),
    Question("description_sv", "What it holds, in Swedish", "the owner: the same in Swedish"),
    Question("description_en", "What it holds, in English", "the owner: the same in English"),
    Question(
        "purpose", "What it is used for on the platform, in Finnish", "the owner: what reports or services use it for"
    ),
    Question("domain", "Whose mart it will be in", "the data platform team: the sector whose marts it serves"),
    Question("owner", "Owner (id in include/inventory/people)", "the sector's management: who answers for the data"),
    Question(
        "steward", "Steward (id in include/inventory/people)", "the owner: who knows the data and keeps its description"
    ),
    Question(
        "contact",
        "E-mail address for questions about the data",
        "the owner: where alerts and questions about the data go",
    ),
    Question("authority", "Authority that is its controller, if it is not the town", "the owner"),
    Question(
        "tietovaranto",
        "Tietovaranto (id in include/inventory/tietovarannot)",
        "the information manager: the information pool it belongs to",
    ),
    Question(
        "task_class",
        "Task class (code of include/inventory/task_classes.yaml)",
        "the information manager: the class of the municipal task classification",
    ),
    Question(
        "process", "Process (id in include/inventory/processes)", "the owner: the process in which the data is made"
    ),
    Question(
        "publicity",
        "Publicity: julkinen, osittain salassa pidettävä or salassa pidettävä",
        "the owner: the Act on the Openness of Government Activities (621/1999)",
    ),
    Question(
        "secrecy_ground",
        "Ground of secrecy, if it is not public",
        "the owner: the section that makes it secret, for example JulkL 621/1999 24 §",
    ),
    Question("retention", "How long it is kept", "the archivist: the plan of information control (906/2019 21 §)"),
    Question("retention_ground", "On what ground it is kept so long", "the archivist: the law or decision"),
    Question("retention_starts", "From what moment", "the archivist: what begins the time"),
    Question(
        "retention_then",
        "What becomes of it then: arkistoidaan or hävitetään",
        "the archivist: arkistoidaan or hävitetään",
    ),
    Question(
        "schedule",
        "When it is read (cron, for example 30 4 * * *)",
        "the data platform team and whoever keeps the source: when it may be read, as a cron expression",
    ),
    Question(
        "information_system",
        "Information system it is in (id in include/inventory/systems)",
        "the information manager: the information system it is in",
    ),
    Question("sector", "Sector of the administration", "the information manager: the sector of the administration"),
    Question(
        "kind",
        "Kind: register, event, statistic, geographic or document",
        "the steward: register, event, statistic, geographic or document",
    ),
    Question("criticality", "Criticality: core, important or ordinary", "the owner: core, important or ordinary"),
    Question(
        "legal_basis",
        "Legal basis of processing the personal data",
        "the owner, asking the data protection officer: GDPR Art. 6 and the law",
    ),
    Question(
        "art30",
        "Record of processing activities that covers it (id in include/inventory/art30), if there is one",
        "the owner, asking the data protection officer",
    ),
    Question(
        "approved_by",
        "Governance officer who approved it as a new dataset (id)",
        "the governance officer: approves that the dataset is added",
    ),
    Question("approval", "Document of the approval", "the governance officer: the minutes or document of the approval"),
)
DECIDES = {question.name: question.decides for question in QUESTIONS}


@dataclass(frozen=True)
class Dataset:
    """What is drafted: its id, the sample's size, and the answers."""

    system: str
    name: str
    rows: int
    whole: bool
    answers: Answers = field(default_factory=Answers)

    @property
    def id(self) -> str:
        """`system.name`."""
        return f"{self.system}.{self.name}"
