"""Plain English in the library: banned words and phrases, and docstrings that begin with a verb.

Text between backticks or quotation marks (code, names, quoted text) is not counted, and neither are the field's terms
of ``TERMS``. Names are checked where they are assigned or defined.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "vlalign"

#: pattern -> plain words for it
BANNED = {
    r"(un)?told|tell(s|ing)?": "record, report, state, predict, distinguish",
    r"sa(y|ys|id|ying)": "state, show, report",
    r"(what|with what) .{1,60} (came|comes) to|with what (a|an|the)": "results of …, environment of …",
    r"whoever": "callers, readers",
    r"kin|look(s|ed)? what": "similar models; scan",
    r"speaks? for": "is the main process; represents",
    r"so (many|much|few)": "n, at most n",
    r"go(es)? first": "overrides, has priority",
    r"paid for": "accounted for",
    r"of (its|their) own": "separate, individual",
    r"stands? (in|for|beside)": "is in, means, is next to",
    r"(is|are|was) (?-i:none)(?! of)": "invalid, does not exist",
    r"as wholes": "as blocks, as groups",
    r"expected (is|are)(?! [\w ]*\bto\b)": "expected …",
    r"(what|which|not|is|are|was|were) there(?=$|[\s.,:;)])(?! (is|are|was|were)\b)": "exists, present",
}  # fmt: skip
TERMS = re.compile(r"ground truth")
QUOTED = re.compile(r"```.*?```|``[^`]*``|`[^`]*`|“[^”]*”|\"[^\"\n]*\"|>>> .*", re.DOTALL)
BANNED_PATTERN = re.compile(rf"\b(?:{'|'.join(BANNED)})\b", re.IGNORECASE)
BANNED_NAMES = {"found", "told", "tell", "tells", "said", "say", "says", "kin", "whoever"}
#: no verb, or a verb in the third person
NO_VERB = re.compile(
    r"(?:The|A|An|What|Which|Who|Where|When|Whether|How|With|Of|For|As|All|At|By|From|In|It|One|Every|Each|No|Only|So"
    r"|True|False|(?!Pass\b|Process\b|Preprocess\b|Press\b|Compress\b|Address\b|Access\b|Guess\b)[A-Z][a-z]+s)\b"
)


def rooms() -> list[str]:
    return sorted({path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in PACKAGE.rglob("*.py")})


def sources(room: str) -> list[Path]:
    return sorted((PACKAGE / room).rglob("*.py")) if (PACKAGE / room).is_dir() else [PACKAGE / f"{room}.py"]


def texts(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of each string (docstrings, messages, help) and comment of a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):  # one text: a phrase may continue after a value
            yield (
                node.lineno,
                "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values),
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def names(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and name of everything that a module assigns or defines."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id if isinstance(node, ast.Name) else node.attr
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg


def banned_words(source: str) -> list[tuple[int, str]]:
    """Return line and words of each banned phrase in a module's texts, and each banned name."""
    rows = []
    for line, text in texts(source):
        plain = TERMS.sub("", QUOTED.sub("…", text))
        rows += [(line, " ".join(match[0].split())) for match in BANNED_PATTERN.finditer(plain)]
    rows += [(line, f"name {name}") for line, name in names(source) if BANNED_NAMES & set(name.lower().split("_"))]
    return sorted(set(rows))


def verbless_docstrings(source: str) -> list[tuple[int, str]]:
    """Return line and start of the docstring of each function (properties aside) that begins with no verb."""
    rows = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and not any("property" in ast.unparse(n) for n in node.decorator_list):
            text = ast.get_docstring(node) or ""
            if NO_VERB.match(text):
                rows.append((node.lineno, f"{node.name}: {text[:40]!r}"))
    return rows


def listing(room: str, check: Callable[[str], list[tuple[int, str]]]) -> str:
    """Return a line for each place of a room that a check lists."""
    modules = [(path.relative_to(PACKAGE), path.read_text(encoding="utf-8")) for path in sources(room)]
    return "\n".join(f"{path}:{line}: {words}" for path, source in modules for line, words in check(source))


@pytest.mark.parametrize("room", rooms())
def test_no_banned_words(room: str) -> None:
    lines = listing(room, banned_words)
    assert not lines, f"plain words are listed in BANNED\n{lines}"


def test_no_banned_words_in_templates() -> None:
    files = [path for folder in (PACKAGE, PACKAGE.parent / "cards") for path in folder.rglob("*")]
    files = [path for path in files if path.suffix in (".html", ".js", ".css", ".md", ".jinja")]
    assert files
    lines = [(path, line) for path in files for line in path.read_text(encoding="utf-8").splitlines()]
    assert not [f"{path.name}: {line}" for path, line in lines if BANNED_PATTERN.search(QUOTED.sub("…", line))]


@pytest.mark.parametrize("room", rooms())
def test_docstrings_of_functions_begin_with_a_verb(room: str) -> None:
    lines = listing(room, verbless_docstrings)
    assert not lines, f"begin with Return, Load, Estimate …\n{lines}"


def test_banned_words_are_detected() -> None:
    source = '"""What a study came to."""\nfound = f"expected are {1} as told"  # whoever\n"a `told` and “said”"\n'
    assert banned_words(source) == [
        (1, "What a study came to"),
        (2, "expected are"),
        (2, "name found"),
        (2, "told"),
        (2, "whoever"),
    ]
    assert verbless_docstrings('def f():\n    """The text."""') == [(1, "f: 'The text.'")]
    assert not verbless_docstrings('class A:\n    @property\n    def f(self):\n        """The text."""')
