"""Bad command lines of every verb: one line that names the mistake, status 1 or 2, nothing on standard output."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path

import huggingface_hub.constants  # noqa: F401  reads HF_HUB_OFFLINE before a test here sets it
import pytest
from support.commands import status_of
from support.features import make_store
from support.tiny import TinyModels

from vlalign.cli import main

EXTRACT = "extract --model {llama} --data texts.csv --store new --cpu"
SCORE = "score s dinov2-small llama-7b -q"
PERTURB = "perturb texts.csv --op char_delete"
LINES = f"""
                                                   | required: verb
--help-me                                          | unknown flag --help-me (did you mean --help
scoer s                                            | did you mean score?
extract                                            | no model given
extract --model                                    | --model: expected a value
extract --modle x                                  | did you mean --model
extract --model nosuch --data texts.csv            | unknown model 'nosuch'
extract --model empty --data texts.csv             | config.json
extract --model ./nowhere --data texts.csv         | no model folder ./nowhere
extract --model text.txt/x.gguf --data texts.csv   | no GGUF file
extract --model ~nouser9/x --data texts.csv        | no user of that name
extract --model hub:a/b/c --data texts.csv         | hub:owner/name
score features --k 5.5                             | --k: expected a whole number of at least 1, got '5.5'
score features --k 0x8                             | --k: expected a whole number of at least 1, got '0x8'
extract --model x --max-samples 10.9               | --max-samples: expected a whole number of at least 1, got '10.9'
synthetic run --depths 1.5 2                       | --depths: expected a whole number from 1 to 64, got '1.5'
advise x.npy --seeds 1                             | --seeds: expected a list of whole numbers from 0 to 2147483647, 5
extract --model '' --data texts.csv                | --model: expected a value, got '' (see vlalign extract --help)
score s --k=                                       | --k: expected a value, got ''
runs ''                                            | STORE: expected a value, got ''
extract --model-set nosuch                         | expected prh, prh-text, prh-vision or prh-2, got 'nosuch'
extract --model {{llama}} --data nowhere.csv       | nowhere.csv
extract --model {{llama}} --data text.txt          | .txt are not read
extract --model {{llama}} --data empty             | empty holds no samples
extract --model {{llama}} --data loop              | loop: Too many levels
extract --model {{llama}} --data texts.csv/x       | texts.csv/x
{EXTRACT} --dtype float31                          | did you mean float32
{EXTRACT} --quantization int7                      | expected none, int8, nf4 or fp4 (did you mean int8?)
{EXTRACT} --batch-tokens 0                         | --batch-tokens: expected a whole number of at least 1, got '0'
{EXTRACT} --batch-tokens 1e3                       | expected a whole number of at least 1, got '1e3'
{EXTRACT} --workers -1                             | --workers: expected a whole number of at least 0
{EXTRACT} --shard-rows 0                           | --shard-rows: expected
{EXTRACT} --max-length 99999999999999999999        | takes 1 to 128 tokens
{EXTRACT} --max-samples 0                          | --max-samples: expected
{EXTRACT} --caption -1                             | --caption: expected a whole number of at least 0, got '-1'
{EXTRACT} --image-size 224                         | text model
{EXTRACT} --perturb nosuch:10                      | nosuch
{EXTRACT} --perturb char_delete                    | no rate
{EXTRACT} --perturb char_delete:nan                | in percent, 0 to 100, not nan
{EXTRACT} --perturb char_delete:10,foo=1           | foo
{EXTRACT} --text-column nosuch                     | no column 'nosuch'
{EXTRACT} --data-revision x                        | no revisions
{EXTRACT} --parallel split                         | drop one
{EXTRACT} --store text.txt                         | text.txt
{EXTRACT} --store loop                             | loop: Too many levels
{EXTRACT} --store {"s" * 300}                      | File name too long
{EXTRACT} --cpu=x                                  | --cpu: expected true or false, got 'x'
{EXTRACT} extra                                    | unexpected argument 'extra'
score                                              | required: STORE (see
score s dinov2-small llama-7b --metric cka a       | unknown metric 'a'
score --metric cka s                               | required: STORE: arguments come before flags
score nowhere                                      | nowhere does not exist
score text.txt                                     | text.txt is not a folder
score empty                                        | scoring needs two
score s llama-7b                                   | name two runs
score s llama-7b nosuch                            | no run 'nosuch'
{SCORE} --metric mutual_kn                         | unknown metric 'mutual_kn'
{SCORE} --metric mutual_knn:k=x                    | k='x'
{SCORE} --metric mutual_knn:j=3                    | j
{SCORE} --k 0                                      | --k: expected a whole number of at least 1, got '0'
{SCORE} --k nan                                    | --k: expected a whole number
{SCORE} --k 99999999999999999999                   | 99999999999999999999
{SCORE} --permutations -1                          | --permutations: expected a whole number from 0 to 10000000
{SCORE} --half-samples -1                          | --half-samples: expected
{SCORE} --preset nosuch                            | nosuch
{SCORE} --groups nowhere.csv                       | no file nowhere.csv
{SCORE} --groups bin.csv                           | cannot read groups from bin.csv
{SCORE} --device nosuch                            | 'nosuch'
{SCORE} --out text.txt                             | cannot write text.txt: it is not a folder
{SCORE} --out {"o" * 300}                          | File name too long
study nosuch                                       | STUDY: expected uniqueness, got 'nosuch'
study uniqueness --x a                             | required: y: give --y
study uniqueness --x a --y b --op c --rates nan    | --rates: expected a number from 0 to 100, got 'nan'
study uniqueness --config nowhere.yaml             | nowhere.yaml: No such file
study uniqueness --config empty                    | empty: Is a directory
study uniqueness --config bin.csv                  | not text in UTF-8
synthetic                                          | required: action
synthetic run --samples -1                         | --samples: expected a whole number from 64
synthetic run --noise nan                          | --noise: expected a number from 0 to 100
synthetic run --depths 0                           | --depths: expected a whole number from 1 to 64
synthetic run --learning-rate 1                    | expected two values
synthetic run --metrics nosuch                     | unknown metric 'nosuch'
synthetic run --tuned text.txt --dry-run           | text.txt is not a settings file
synthetic run --out loop --dry-run                 | loop: Too many levels
synthetic report nowhere                           | nowhere holds no finished study
synthetic data --uniqueness 2                      | nothing to do
synthetic data --uniqueness 2 --push x             | 'x' is not a name of a data set
synthetic tune --trials 0                          | --trials: expected a whole number of at least 1
multibench inspect nowhere                         | cannot read nowhere: no such file
multibench inspect text.txt                        | it is text
multibench inspect ~nouser9                        | no user of that name
multibench prepare nosuch                          | unknown verb 'nosuch': choose from
multibench prepare custom                          | give a FILE, or --array
multibench prepare custom --array a --labels b     | give NAME=FILE.npy
multibench prepare custom --lables b               | did you mean --labels
multibench prepare custom x.npz --valid 1          | --valid: expected a number above 0 and below 1, got '1'
multibench run                                     | data is empty
multibench run --data empty                        | empty holds no prepared data set
multibench run --data x --dropout nan              | --dropout: expected a number from 0 to 0.99
multibench report nowhere                          | nowhere holds no finished study
perturb                                            | name a data set
perturb texts.csv --op nosuch --rate 10            | nosuch
{PERTURB} --rate 101                               | --rate: expected a number from 0 to 100, got '101'
{PERTURB} --rate 10 --samples 0                    | --samples: expected
{PERTURB} --rate 10 --ids nosuch                   | no sample 'nosuch'
{PERTURB} --rate 10 --sheet x.txt                  | x.txt ends in none of these
{PERTURB} --rate 10 20 --out x.parquet             | one data set
{PERTURB} --rate 10 --out nowhere/x.parquet        | nowhere
{PERTURB} --rate 10 --push bad                     | 'bad' is not a name of a data set
metrics --jsn                                      | did you mean --json
leaderboard nowhere                                | no results at nowhere
leaderboard empty                                  | no score records in empty
leaderboard loop                                   | loop: Too many levels
leaderboard a/b@@c                                 | a/b@@c
compare a                                          | required: B
compare llama-7b llama-7b --store nowhere          | nowhere does not exist
compare text.txt text.txt                          | text.txt is not a score record
compare text.txt llama-7b                          | llama-7b is no file
reproduce nosuch a b                               | REFERENCE: expected platonic, got 'nosuch'
reproduce platonic a b --store nowhere             | nowhere does not exist
models --family nosuch                             | no model matches
models --modality x                                | --modality: expected text or vision, got 'x'
runs nowhere                                       | nowhere does not exist
runs a b                                           | unexpected argument 'b'
runs {"x" * 100000}                                | File name too long
verify text.txt                                    | text.txt is not a folder
push s                                             | required: --repo
push s --repo x                                    | 'x' is not a name of a data set
push nowhere --repo a/b                            | nowhere does not exist
push s --repo a/b --dtype float64                  | did you mean float
pull                                               | required: REPO
pull a/b/c                                         | 'a/b/c'
push-results nowhere --repo a/b                    | no results at nowhere
demo --k 0                                         | --k: expected
demo --max-samples 1                               | --max-samples 1
demo --permutations -1                             | --permutations: expected
demo --out text.txt                                | text.txt
"""
TABLE = [tuple(part.strip() for part in line.rpartition("|")[::2]) for line in LINES.strip("\n").splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad")
    make_store(folder / "s")
    (folder / "empty").mkdir()
    (folder / "loop").symlink_to("loop")
    (folder / "text.txt").write_text("hello\n")
    (folder / "texts.csv").write_text("id,text\na,one dog\nb,two cats\nc,three birds\n")
    (folder / "bin.csv").write_bytes(bytes(range(256)))
    return folder


@pytest.mark.parametrize(("line", "words"), TABLE, ids=[line[:60] for line, _ in TABLE])
def test_one_line(
    line: str,
    words: str,
    folder: Path,
    tiny: TinyModels,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    words_of_line = shlex.split(line.replace("{llama}", str(tiny.path("llama"))))
    before = sorted(folder.rglob("*"))
    capsys.readouterr()
    status = status_of(words_of_line)
    said = capsys.readouterr()
    lines = [one for one in said.err.splitlines() if one.strip()]
    assert (status in (1, 2), said.out, len(lines)) == (True, "", 1), said.err
    assert lines[0].startswith("vlalign")
    assert lines[0].count("error:") == 1
    assert "unexpected" not in lines[0].replace("unexpected argument", "")
    assert len(lines[0]) < 2000
    assert words in lines[0]
    assert (
        status == 2 or not words.startswith("--") or ": expected" not in words
    )  # a value out of range is a usage error
    assert sorted(folder.rglob("*")) == before


def test_arguments_that_act_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    for line in (
        ["\x1b[2J"],
        ["runs", "--\x1b[2J"],
        ["runs", "\x1b[2J"],
        ["score", "a\x00b"],
        ["runs", "x", "\x1b[2J"],
    ):
        with contextlib.suppress(SystemExit):
            main(line)
        said = capsys.readouterr().err
        assert "\x1b" not in said
        assert "\x00" not in said
        assert said.count("\n") == said.count("error:") == 1
