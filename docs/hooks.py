"""Steps of the site's build: pages from outside of docs/, links between files, the command reference, formulas."""

from __future__ import annotations

import html
import io
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
#: files of the repository that are pages or pictures of the site
OUTSIDE = {
    "README.md": "index.md",
    "synthetic/README.md": "synthetic/README.md",
    "synthetic/RESULTS.md": "synthetic/RESULTS.md",
    "multibench/README.md": "multibench/README.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "CHANGELOG.md": "CHANGELOG.md",
}
EXAMPLES = sorted((ROOT / "examples").glob("*.ipynb"))
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")
_ROLE = re.compile(r":(?:func|class|mod|meth|data|attr):<code>~?([\w.]+)</code>")
_EXAMPLES = re.compile(r"(?:^(?:  )?(?:vlalign|accelerate|torchrun|python|hf) .*\n)+", re.MULTILINE)
_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_config(config: Any) -> Any:
    """Add the notebooks to the navigation, before the method."""
    place = next(i for i, entry in enumerate(config.nav) if "Method" in entry)
    config.nav.insert(place, {"Examples": [f"examples/{path.stem}.md" for path in EXAMPLES]})
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages and pictures that are outside of docs/."""
    pictures = {str(path.relative_to(ROOT)) for path in (ROOT / "synthetic" / "results").glob("*.png")}
    for source, place in (OUTSIDE | {name: name for name in pictures}).items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / source)))
    for path in EXAMPLES:
        files.append(File.generated(config, f"examples/{path.stem}.md", content=notebook_page(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Make links between files of the repository links of the site, or of the repository on the web."""
    place = page.file.src_uri
    sources = {site: source for source, site in OUTSIDE.items()}
    folder = (ROOT / sources.get(place, f"docs/{place}")).parent

    def link(match: re.Match[str]) -> str:
        mark, text, target, anchor = match.groups(default="")
        path = Path(os.path.normpath(folder / target))
        if not path.exists():
            return match[0]  # a mistake, which --strict reports
        name = path.relative_to(ROOT).as_posix()
        uri = OUTSIDE.get(name, name.removeprefix("docs/"))
        if files.get_file_from_path(uri) is None:
            return f"[{text}]({config.extra['repository']}/blob/main/{name})"
        return f"{mark}[{text}]({os.path.relpath(uri, os.path.dirname(place) or '.')}{anchor})"

    if "<!-- commands -->" in markdown:
        markdown = markdown.replace("<!-- commands -->", command_reference())
    return _LINK.sub(link, markdown)


def on_page_content(html: str, page: Any, config: Any, files: Files) -> str:
    """Link names that docstrings mark, and draw formulas."""
    html = _ROLE.sub(r'<autoref identifier="\1" optional><code>\1</code></autoref>', html)
    return _FORMULA.sub(lambda match: formula(match[2], block=match[1] == "div"), html)


def notebook_page(path: Path) -> str:
    """Return a notebook as Markdown, with its outputs if the build runs notebooks (`make docs RUN=1`)."""
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    if os.environ.get("RUN"):
        from nbclient import NotebookClient

        with tempfile.TemporaryDirectory() as folder:
            NotebookClient(notebook, timeout=600, resources={"metadata": {"path": folder}}).execute()
    parts = []
    for cell in notebook.cells:
        is_code = cell.cell_type == "code"
        parts.append(f"```python\n{cell.source}\n```" if is_code else cell.source)
        parts += [_shown(output) for output in cell.get("outputs", ()) if output.get("name") != "stderr"]
    note = f"*This is the notebook [{path.name}](../examples/{path.name}); a test runs it.*"
    return "\n\n".join([parts[0], note, *parts[1:]])


def _shown(output: Any) -> str:
    """Return an output of a notebook's cell as HTML."""
    data = output.get("data", {})
    if "text/html" in data:
        content = data["text/html"]
    elif "image/png" in data:
        content = f'<img alt="figure" src="data:image/png;base64,{data["image/png"].strip()}">'
    else:
        content = f"<pre>{html.escape(data.get('text/plain') or output.get('text', ''))}</pre>"
    return '<div class="output">' + re.sub(r"\n\s*\n", "\n", content) + "</div>"


def command_reference() -> str:
    """Return the reference of all verbs in Markdown, from the options that the program declares."""
    from vlalign.cli.app import program

    text = program().generate_docs(heading_level=2)
    text = text[text.index("### vlalign extract") :]
    text = re.sub(r"^##(?=#+ )", "#", text, flags=re.MULTILINE)
    text = re.sub(r"\*\*Every verb\*\*:\n\n(?:\* .*\n)+", "", text)  # described once, at the head of the page
    text = re.sub(r" \*\[default: (?:\(\)|False|\"\")\]\*", "", re.sub(r"\n {4,}(?=\S)", " ", text))
    parts = re.split(r"(^```.*?^```\n)", text, flags=re.MULTILINE | re.DOTALL)
    for i in range(0, len(parts), 2):
        prose = parts[i].replace("<", "&lt;").replace("][", "]\\[")
        parts[i] = _EXAMPLES.sub(lambda match: f"```console\n{re.sub('(?m)^  ', '', match[0])}```\n", prose)
    return "".join(parts)


def formula(tex: str, block: bool) -> str:
    """Draw a formula as SVG in the colour of the text, with its source as the description."""
    import matplotlib as mpl
    from matplotlib.mathtext import math_to_image

    tex = html.unescape(tex).strip()
    image = io.BytesIO()
    with mpl.rc_context({"svg.fonttype": "path", "mathtext.fontset": "cm", "savefig.transparent": True}):
        depth = math_to_image(f"${tex}$", image, format="svg", color="#012345")
    svg = image.getvalue().decode().replace("#012345", "currentColor")
    svg = svg[svg.index("<svg") :].strip()
    size = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', svg)
    assert size is not None
    em = 9 if block else 10  # points
    sides = [float(length) / em for length in size.groups()]
    style = f"width:{sides[0]:.2f}em;height:{sides[1]:.2f}em;vertical-align:-{depth / em:.2f}em"
    svg = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" style="' + style + '">', svg, count=1)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    tag = "div" if block else "span"
    return f'<{tag} class="formula" role="img" aria-label="{html.escape(tex)}">{svg}</{tag}>'
