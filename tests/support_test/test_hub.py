"""The stand-in Hub serves the real clients: each reads in a subprocess with only the environment changed."""

import io
import subprocess
import sys
import textwrap
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from support.hub import STRANGER, TOKEN, HubServer

Python = Callable[..., str]


def run(script: str, hub: HubServer, folder: Path) -> str:
    """Run a script in a process of its own against the stand-in, with a fresh cache; returns its output."""
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)]
    env = hub.env(folder / "home")
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def python(hub: HubServer, tmp_path: Path) -> Python:
    """Run a script with a cache of this test's own; see :func:`run`."""
    hub.clear()
    return lambda script: run(script, hub, tmp_path)


class Clients(NamedTuple):
    """What each client printed, and the files that were sent of each repository."""

    lines: dict[str, list[str]]
    sent: dict[str, list[str]]


@pytest.fixture(scope="module")
def clients(hub: HubServer, tmp_path_factory: pytest.TempPathFactory) -> Clients:
    """The clients after each other in one process, as they import the same libraries."""
    hub.clear()
    out = run(CLIENTS.format(token=TOKEN), hub, tmp_path_factory.mktemp("clients"))
    parts = [part.splitlines() for part in out.split("part ")[1:]]
    sent = {repo.partition("/")[2]: hub.downloads(repo) for repo in hub.repos}
    return Clients({name: lines for name, *lines in parts}, sent)


CLIENTS = """
    print("part transformers")
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
    from huggingface_hub import HfApi
    print(AutoConfig.from_pretrained("huggyllama/llama-7b").model_type)
    print(type(AutoModelForCausalLM.from_pretrained("bigscience/bloomz-560m")).__name__)
    commit = HfApi().model_info("openlm-research/open_llama_3b").sha
    tokenizer = AutoTokenizer.from_pretrained("openlm-research/open_llama_3b", revision=commit)
    print(tokenizer("A red circle")["input_ids"][0], tokenizer.pad_token)

    print("part timm")
    import timm, torch
    name = "timm/vit_small_patch14_dinov2.lvd142m"
    model = timm.create_model(f"hf-hub:{{name}}@{{HfApi().model_info(name).sha}}", pretrained=True).eval()
    print(len(model.blocks), tuple(model(torch.zeros(1, 3, 42, 42)).shape))
    print(len(timm.create_model("hf-hub:timm/vit_giant_patch14_dinov2.lvd142m", pretrained=True).blocks))

    print("part datasets")
    from datasets import load_dataset
    for name, revision in (("minhuh/prh", "main"), ("minhuh/prh", "wit_9999"), ("minhuh/nothing", None)):
        try:
            load_dataset(name, revision=revision, split="train")
        except Exception as error:
            print(type(error).__name__)
    rows = load_dataset("minhuh/prh", revision="wit_1024", split="train")
    print(len(rows), rows.column_names, rows[0]["image"].mode, len(rows[0]["text"]))
    commit = HfApi().dataset_info("minhuh/prh", revision="wit_1024").sha
    print(len(load_dataset("minhuh/prh", revision=commit, split="train")))

    print("part push")
    rows.push_to_hub("owner/copy", revision="trial", token="{token}")
    again = load_dataset("owner/copy", revision="trial", split="train")
    print(len(again), again[3]["text"] == rows[3]["text"], again[3]["image"].size == rows[3]["image"].size)
"""


def test_transformers_loads_by_repository_id(clients: Clients) -> None:
    """Config, tokenizer and model; asking for the config alone sends no weights."""
    assert " ".join(clients.lines["transformers"]).split() == ["llama", "BloomForCausalLM", "1", "None"]
    assert clients.sent["huggyllama/llama-7b"] == ["config.json"]
    assert "model.safetensors" in clients.sent["bigscience/bloomz-560m"]
    assert "tokenizer.model" in clients.sent["openlm-research/open_llama_3b"]
    assert "model.safetensors" not in clients.sent["openlm-research/open_llama_3b"]


def test_timm_loads_from_the_hub(clients: Clients) -> None:
    """Both timm repositories, one of them at a commit."""
    assert clients.lines["timm"] == ["3 (1, 32)", "4"]
    assert clients.sent["timm/vit_small_patch14_dinov2.lvd142m"] == ["config.json", "model.safetensors"]


def test_datasets_loads_a_revision(clients: Clients) -> None:
    """The rows are on the branch and main is empty, so that a forgotten revision is found out.

    The failures come first: once any revision is cached, datasets 5 quietly returns that one where loading fails.
    """
    errors = ["EmptyDatasetError", "DatasetNotFoundError", "DatasetNotFoundError"]
    assert clients.lines["datasets"] == [*errors, "24 ['image', 'text'] RGB 2", "24"]


def test_push_to_hub_round_trip(clients: Clients) -> None:
    """datasets pushes a table with an image column and reads it back."""
    assert clients.lines["push"] == ["24 True True"]


def test_snapshot_and_offline(python: Python, hub: HubServer) -> None:
    """A snapshot holds every file, and is enough when the Hub is out of reach afterwards."""
    out = python("""
        import os
        from huggingface_hub import snapshot_download
        path = snapshot_download("huggyllama/llama-7b")
        print(os.path.basename(path), " ".join(sorted(os.listdir(path))))
        print(snapshot_download("huggyllama/llama-7b", local_files_only=True) == path)
    """)
    commit, *names = out.splitlines()[0].split()
    assert commit == hub.repos["models/huggyllama/llama-7b"].branches["main"]
    assert len(commit) == 40
    assert names == sorted(hub.files("models/huggyllama/llama-7b"))
    assert out.splitlines()[1] == "True"


GATE = """
    import os
    from huggingface_hub import HfApi, hf_hub_download
    for repo, token in {cases}:
        os.environ["HF_TOKEN"] = token
        for call in (HfApi().model_info, HfApi().auth_check, lambda name: hf_hub_download(name, "config.json")):
            try:
                call(repo)
                print("open")
            except Exception as error:
                print(type(error).__name__, error.response.status_code)
"""


def test_gated_and_missing_repositories(python: Python) -> None:
    """The clients' own exceptions; a gated model's info is open to all, as on the real Hub."""
    answers = {
        ("google/gemma-2b", ""): ["open", "GatedRepoError 401", "GatedRepoError 401"],
        ("google/gemma-2b", STRANGER): ["open", "GatedRepoError 403", "GatedRepoError 403"],
        ("nobody/nothing", ""): ["RepositoryNotFoundError 401"] * 3,
        ("nobody/nothing", TOKEN): ["RepositoryNotFoundError 404"] * 3,
        ("google/gemma-2b", TOKEN): ["open", "open", "open"],  # last, as it leaves the file in the cache
    }
    assert python(GATE.format(cases=list(answers))).splitlines() == [one for three in answers.values() for one in three]


# -- in this process: conftest points it at the stand-in ------------------------------------------------------------
@pytest.fixture
def server() -> Iterator[HubServer]:
    """A stand-in of this test's own."""
    with HubServer() as own:
        yield own


def test_revisions_resolve_to_commits(server: HubServer, tmp_path: Path) -> None:
    """Branches, tags, commits and shortened commits; the same content has the same id; a change has another."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import EntryNotFoundError, RevisionNotFoundError

    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.txt").write_text("one")
    first = server.add_model("org/name", tmp_path).oid
    with HubServer() as other:
        assert other.add_model("org/name", tmp_path).oid == first
    server.add_tag("models/org/name", "v1")
    (tmp_path / "sub" / "a.txt").write_text("two")
    second = server.add_model("org/name", tmp_path).oid
    api = HfApi(endpoint=server.url)
    named = {revision: api.model_info("org/name", revision=revision).sha for revision in ("main", "v1", first[:8])}
    assert named == {"main": second, "v1": first, first[:8]: first}
    assert {entry.path for entry in api.list_repo_tree("org/name")} == {"sub"}
    assert api.list_repo_files("org/name", revision="v1") == ["sub/a.txt"]
    assert [entry.path for entry in api.get_paths_info("org/name", ["sub", "sub/a.txt", "no"])] == ["sub", "sub/a.txt"]
    assert [branch.name for branch in api.list_repo_refs("org/name").branches] == ["main"]
    with pytest.raises(RevisionNotFoundError):
        api.model_info("org/name", revision="nothing")
    with pytest.raises(EntryNotFoundError):
        api.hf_hub_download("org/name", "b.txt", cache_dir=tmp_path / "cache")


def test_ranges_and_safetensors_metadata(hub: HubServer) -> None:
    """Parts of a file, and headers of safetensors without the weights."""
    from huggingface_hub import HfApi

    url = f"{hub.url}/huggyllama/llama-7b/resolve/main/config.json"
    whole = hub.files("models/huggyllama/llama-7b")["config.json"].read()
    for asked, expected in (("bytes=2-5", whole[2:6]), ("bytes=10-", whole[10:]), ("bytes=-7", whole[-7:])):
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Range": asked})) as answer:
            assert (answer.status, answer.read()) == (206, expected)
    with pytest.raises(urllib.error.HTTPError, match="416"):
        urllib.request.urlopen(urllib.request.Request(url, headers={"Range": "bytes=999999-"}))
    metadata = HfApi().get_safetensors_metadata("huggyllama/llama-7b")
    assert metadata.parameter_count["F32"] > 10_000


def test_uploads_make_commits(server: HubServer, tmp_path: Path) -> None:
    """Create, upload a folder with an LFS file, upload again without change, branch, delete, read back."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Card\n")
    (folder / "rows.parquet").write_bytes(bytes(range(256)) * 40)
    api = HfApi(endpoint=server.url, token=TOKEN)
    assert api.create_repo("owner/rows", repo_type="dataset").repo_id == "owner/rows"
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_repo("owner/rows", repo_type="dataset")
    api.create_repo("owner/rows", repo_type="dataset", exist_ok=True)
    first = api.upload_folder(repo_id="owner/rows", repo_type="dataset", folder_path=folder)
    again = api.upload_folder(repo_id="owner/rows", repo_type="dataset", folder_path=folder)
    assert first.oid == again.oid
    assert list(server.uploads.values()) == [bytes(range(256)) * 40]
    api.create_branch("owner/rows", repo_type="dataset", branch="next")
    api.upload_file(
        repo_id="owner/rows", repo_type="dataset", revision="next", path_in_repo="b.txt", path_or_fileobj=b"b"
    )
    api.delete_file("rows.parquet", "owner/rows", repo_type="dataset", revision="next")
    assert sorted(server.files("datasets/owner/rows", "next")) == [".gitattributes", "README.md", "b.txt"]
    assert sorted(server.files("datasets/owner/rows")) == [".gitattributes", "README.md", "rows.parquet"]
    path = snapshot_download(
        "owner/rows", repo_type="dataset", endpoint=server.url, cache_dir=tmp_path / "cache", token=False
    )
    assert (Path(path) / "rows.parquet").read_bytes() == bytes(range(256)) * 40
    for token in (STRANGER, "hf_wrong", False):
        with pytest.raises(HfHubHTTPError):
            HfApi(endpoint=server.url, token=token).create_repo("owner/other")
    assert HfApi(endpoint=server.url, token=TOKEN).whoami()["name"] == "owner"


def test_private_repositories_and_faults(server: HubServer, tmp_path: Path) -> None:
    """A private repository looks missing to others; a fault is sent as asked."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

    api = HfApi(endpoint=server.url, token=TOKEN)
    api.create_repo("owner/secret", private=True)
    api.upload_file(repo_id="owner/secret", path_in_repo="big.bin", path_or_fileobj=io.BytesIO(b"x" * 1000))
    assert api.file_exists("owner/secret", "big.bin")
    with pytest.raises(RepositoryNotFoundError):
        HfApi(endpoint=server.url, token=STRANGER).model_info("owner/secret")
    server.fault = lambda method, path: 503 if path.startswith("/api/models") else None
    with pytest.raises(HfHubHTTPError, match="503"):
        api.model_info("owner/secret")


def test_no_other_host_is_reached() -> None:
    """The guard refuses connections beyond this machine."""
    with pytest.raises(OSError, match="must not use the network"):
        urllib.request.urlopen("http://huggingface.co", timeout=5)
    import socket

    with pytest.raises(OSError, match="must not use the network"), socket.socket() as sock:
        sock.connect(("192.0.2.1", 80))
