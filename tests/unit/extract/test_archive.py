"""What an archive promises, in a directory and on a real object storage: sealed whole or not at all, read as it was sealed."""

import hashlib
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import boto3
import pyrage
import pytest
from s3fs import S3FileSystem

from citydata import contract, settings
from citydata.contract import Contract
from citydata.extract import ContentError, SourceError, archive, archive_storage
from tests import object_storage
from tests.object_storage import BUCKET, ObjectStorage

PLAIN, ENCRYPTED = "trial.cost_centres", "trial.register"
TRIAL_CONTRACTS = Path(__file__).parents[2] / "contracts"
MIB = 1 << 20
SMALLEST_PART = 5 * MIB
"""Of an upload in parts, as S3 allows it."""


class Directory:
    """An archive in a directory, seen from outside."""

    def __init__(self, home: Path) -> None:
        self.place = str(home / "archive")

    def files(self) -> list[str]:
        root = Path(self.place)
        return [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and path.suffix != ".part"]

    def get(self, name: str) -> bytes:
        return (Path(self.place) / name).read_bytes()

    def put(self, name: str, content: bytes | None) -> None:
        path = Path(self.place) / name
        path.unlink() if content is None else path.write_bytes(content)


class Objects:
    """An archive on object storage, seen from outside: by another client than the platform's."""

    def __init__(self, store: ObjectStorage, prefix: str) -> None:
        self.place = f"s3://{BUCKET}/{prefix}"
        self._prefix = prefix
        self._client = boto3.client(
            "s3",
            endpoint_url=store.address,
            region_name=store.environment["AWS_DEFAULT_REGION"],
            aws_access_key_id=store.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=store.environment["AWS_SECRET_ACCESS_KEY"],
        )

    def files(self) -> list[str]:
        listed = self._client.list_objects_v2(Bucket=BUCKET, Prefix=f"{self._prefix}/").get("Contents", [])
        return [entry["Key"].removeprefix(f"{self._prefix}/") for entry in listed]

    def get(self, name: str) -> bytes:
        return self._client.get_object(Bucket=BUCKET, Key=f"{self._prefix}/{name}")["Body"].read()

    def put(self, name: str, content: bytes | None) -> None:
        key = {"Bucket": BUCKET, "Key": f"{self._prefix}/{name}"}
        if content is None:
            self._client.delete_object(**key)
        else:
            self._client.put_object(**key, Body=content)


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStorage]:
    with object_storage.running() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("CITYDATA_HOME", str(tmp_path))
    monkeypatch.setenv("CITYDATA_ARCHIVE_KEY", str(pyrage.x25519.Identity.generate()))
    monkeypatch.delenv("CITYDATA_ARCHIVE", raising=False)
    monkeypatch.setattr(settings, "CONTRACTS", TRIAL_CONTRACTS)
    monkeypatch.setattr(archive_storage, "PART_BYTES", SMALLEST_PART)
    contract.load_each.cache_clear()
    yield tmp_path
    contract.load_each.cache_clear()


@pytest.fixture
def objects(store: ObjectStorage, home: Path, monkeypatch: pytest.MonkeyPatch) -> Objects:
    place = Objects(store, uuid.uuid4().hex)
    for name, value in (store.environment | {"CITYDATA_ARCHIVE": place.place}).items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()
    return place


@pytest.fixture(params=["directory", "object storage"])
def place(request: pytest.FixtureRequest, home: Path) -> Directory | Objects:
    return Directory(home) if request.param == "directory" else request.getfixturevalue("objects")


def written(entry: Contract, content: bytes, batch_id: int = 7) -> archive.Writer:
    writer = archive.Writer(entry, batch_id)
    assert b"".join(writer.tee(content[start : start + MIB] for start in range(0, len(content), MIB))) == content
    return writer


def parts(home: Path) -> list[Path]:
    """Unfinished files and whatever else lies beside them on this machine."""
    spooled = [path for path in (home / "spool").rglob("*") if path.is_file()]
    return [*home.rglob("archive/**/*.part"), *spooled]


@pytest.mark.parametrize("dataset", [PLAIN, ENCRYPTED])
@pytest.mark.parametrize("size", [1000, 11 * MIB], ids=["at once", "in parts"])
def test_what_was_sealed_is_read_as_it_was_received(
    place: Directory | Objects, home: Path, dataset: str, size: int
) -> None:
    content = os.urandom(size)
    writer = written(contract.load(dataset), content)
    assert place.files() == []
    sealed = writer.seal()
    assert place.files() == [sealed.path]
    assert parts(home) == []
    stored = place.get(sealed.path)
    assert (len(stored), hashlib.sha256(stored).hexdigest()) == (sealed.bytes, sealed.sha256)
    assert stored.startswith(b"age-encryption.org/v1") == (dataset == ENCRYPTED)
    assert b"".join(archive.read(sealed.path, sealed.sha256)) == content
    assert archive.exists(sealed.path)
    assert parts(home) == []


@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_a_damaged_archive_gives_not_one_byte(place: Directory | Objects, damage: str) -> None:
    sealed = written(contract.load(PLAIN), os.urandom(3 * MIB)).seal()
    stored = place.get(sealed.path)
    changed = stored[:-1] + bytes([stored[-1] ^ 1])
    place.put(sealed.path, {"changed": changed, "cut": stored[:-1], "gone": None}[damage])
    with pytest.raises(ContentError, match=r"archive .* restore it from the backup"):
        next(archive.read(sealed.path, sealed.sha256))
    assert archive.exists(sealed.path) == (damage != "gone")


def test_an_archive_under_another_key_is_not_opened(
    place: Directory | Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = written(contract.load(ENCRYPTED), b"content").seal()
    monkeypatch.setenv("CITYDATA_ARCHIVE_KEY", str(pyrage.x25519.Identity.generate()))
    with pytest.raises(SourceError, match="not opened by CITYDATA_ARCHIVE_KEY"):
        archive.verify(sealed.path, sealed.sha256)


KILLED = """
import os, signal
from s3fs import S3FileSystem
from citydata import contract
from citydata.extract import archive, archive_storage
archive_storage.PART_BYTES = 5 << 20
die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
call = S3FileSystem._call_s3
async def strike(self, method, *arguments, **options):
    return die() if method == "complete_multipart_upload" else await call(self, method, *arguments, **options)
S3FileSystem._call_s3 = strike
os.fsync = die
writer = archive.Writer(contract.load("trial.cost_centres"), 7)
for _ in writer.tee(os.urandom(1 << 20) for _ in range(11)): pass
print("written", flush=True)
writer.seal()
"""


def test_killed_while_sealing_it_leaves_nothing_that_looks_sealed(place: Directory | Objects, home: Path) -> None:
    done = python(KILLED)
    assert (done.stdout, done.returncode) == ("written\n", -9), done.stderr
    assert place.files() == []
    assert len(parts(home)) == 1
    archive.clear_unfinished(contract.load(PLAIN))
    assert parts(home) == []


HEAVY = """
import os
from pathlib import Path
from citydata import contract
from citydata.extract import archive, archive_storage
archive_storage.PART_BYTES, archive_storage.PARTS_AT_ONCE = 5 << 20, 2
entry = contract.load("trial.cost_centres")
def memory(kind):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(kind)) >> 10
def around(batch, size):
    writer = archive.Writer(entry, batch)
    for _ in writer.tee(os.urandom(1 << 20) for _ in range(size)): pass
    sealed = writer.seal()
    archive.verify(sealed.path, sealed.sha256)
around(1, 1)
Path("/proc/self/clear_refs").write_text("5")  # the highest so far is forgotten: importing took more than there is now
before = memory("VmRSS")
around(2, 60)
print(memory("VmHWM") - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the highest memory")
def test_memory_does_not_grow_with_the_archive(place: Directory | Objects) -> None:
    done = python(HEAVY)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 45, f"{done.stdout.strip()} MiB more for an archive of 60 MiB"


def python(code: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PYTHONPATH": str(settings.ROOT / "include"),
        "CITYDATA_CONTRACTS": str(TRIAL_CONTRACTS),
    }
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


def test_the_sealed_archive_of_another_batch_is_not_replaced(place: Directory | Objects, home: Path) -> None:
    sealed = written(contract.load(PLAIN), b"kept").seal()
    writer = written(contract.load(PLAIN), b"of a ledger that was restored")
    with pytest.raises(archive_storage.ArchiveUnreachable, match=f"{sealed.path} is in {place.place} already"):
        writer.seal()
    writer.abandon()
    assert b"".join(archive.read(sealed.path, sealed.sha256)) == b"kept"
    assert (place.files(), parts(home)) == ([sealed.path], [])


def test_a_silent_store_is_an_error_that_is_tried_again(
    objects: Objects, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = written(contract.load(PLAIN), b"content").seal()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    S3FileSystem.clear_instance_cache()
    silent = pytest.raises(archive_storage.ArchiveUnreachable, match=f"{objects.place} .*127.0.0.1:9")
    writer = written(contract.load(PLAIN), b"content", batch_id=8)
    with silent:
        writer.seal()
    writer.abandon()
    with silent:
        next(archive.read(sealed.path, sealed.sha256))
    with silent:
        archive.exists(sealed.path)
    with silent:
        archive_storage.try_out()
    assert issubclass(archive_storage.ArchiveUnreachable, SourceError)
    assert parts(home) == []
    assert objects.files() == [sealed.path]


def test_a_bucket_that_is_not_there_is_no_missing_archive(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITYDATA_ARCHIVE", "s3://another/town")
    with pytest.raises(archive_storage.ArchiveUnreachable, match="bucket does not exist"):
        written(contract.load(PLAIN), b"content").seal()


def test_what_arrives_otherwise_than_it_was_sent_is_not_sealed(
    objects: Objects, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = S3FileSystem._put_file

    async def flipped(self: S3FileSystem, local: str, path: str, **options: object) -> None:
        content = Path(local).read_bytes()
        other = home / "other"
        other.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        await put(self, str(other), path, **options)

    monkeypatch.setattr(S3FileSystem, "_put_file", flipped)
    with pytest.raises(archive_storage.ArchiveUnreachable, match="did not arrive"):
        written(contract.load(PLAIN), b"content").seal()
    assert objects.files() == []


def test_a_store_that_tells_no_digest_is_read_back(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_storage, "_etag", lambda content, size: "encrypted by the store")
    sealed = written(contract.load(PLAIN), b"content").seal()
    assert b"".join(archive.read(sealed.path, sealed.sha256)) == b"content"


def test_trying_it_out_leaves_nothing(place: Directory | Objects, home: Path) -> None:
    assert archive_storage.try_out() == place.place
    assert (place.files(), parts(home)) == ([], [])


def test_an_address_holds_no_password(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITYDATA_ARCHIVE", "s3://key:hush@bucket/town")
    with pytest.raises(settings.SettingMissing, match="CITYDATA_ARCHIVE holds a password") as raised:
        archive.exists("a")
    assert "hush" not in str(raised.value)


def test_the_address_of_a_local_directory_is_that_directory(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITYDATA_ARCHIVE", f"file://{home}/elsewhere")
    sealed = written(contract.load(PLAIN), b"content").seal()
    assert (home / "elsewhere" / sealed.path).is_file()
