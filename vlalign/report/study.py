"""Frame of a study's report: its folder, the order of its page, and the list of its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from vlalign.config import yaml_text
from vlalign.files import check_space, write_error
from vlalign.report.page import Bullets, Code, Details, Page, Paragraph, Parts, Section, Terms

PAGE = "report.html"


def make_folder(folder: Path) -> Path:
    """Create a folder for a report, with its parents.

    Raises:
        VlalignError: it cannot be created or written.
    """
    check_space(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from error
    return folder


def study_page(
    title: str, facts: Mapping[str, str], findings: Sequence[str], sections: Parts, *,
    definition: str = "", command: str, config: Mapping[str, Any], environment: Mapping[str, Any],
) -> Page:  # fmt: skip
    """Return the page of a study: first finding, main figure, what was measured, other findings and sections, how made.

    Args:
        title: of the page.
        facts: data, models, settings and time, by name.
        findings: sentences.
        sections: figures and tables of this kind of study, that of the main figure first.
        definition: of a symbol that findings use.
        command: reproduces the study.
        config, environment: of the result.
    """
    return Page(
        title,
        [
            Paragraph(definition),
            Paragraph(findings[0] if findings else "", "lead" if findings else ""),
            *sections[:1],
            Section("Study", [Terms({**facts, "made with": _made_with(environment)})]),
            Section("Further findings", [Bullets(findings[1:])]),
            *sections[1:],
            Section(
                "How it was made",
                [
                    Paragraph("Command that reproduces this study:"),
                    Code(command, wrap=True),
                    Details("Settings", [Code(yaml_text(config).rstrip())]),
                    Details("Environment", [Code(yaml_text(environment).rstrip())]),
                ],
            ),
        ],
    )


def show_files(files: Sequence[Path], console: Console, tables: str = "") -> None:
    """Print where the files of a report are: pages, figures, tables; ``tables`` are those written with the result."""
    lines = []
    for name, endings in (("report", (".html", ".md")), ("figures", (".png",)), ("tables", (".csv",))):
        paths = [path for path in files if path.suffix in endings]
        paths = paths[::-1] if name == "report" else paths  # the page is the last file
        if paths:
            names = ", ".join([str(paths[0]), *(path.name for path in paths[1:])])
            lines.append(f"{name:<9} {names}{' (and as PDF)' if name == 'figures' else ''}")
    lines += [f"tables    {tables}"] if tables else []
    console.print("\n".join(lines), highlight=False, soft_wrap=True, markup=False)


def _made_with(environment: Mapping[str, Any]) -> str:
    packages = environment.get("packages", {})
    versions = [f"{name} {packages[name]}" for name in ("vlalign", "torch") if name in packages]
    return ", ".join([*versions, f"commit {environment.get('git') or 'unknown'}"])
