"""How values look wherever they are shown: safe texts, numbers as text, tables, and the style of figures."""

from vlalign.display.texts import command_line, html_text, quoted, some, visible

__all__ = ["command_line", "html_text", "quoted", "some", "visible"]
