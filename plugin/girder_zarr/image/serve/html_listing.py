"""A folder as a page for people; fsspec's HTTP file system reads its links as well."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote

from .conditions import http_date
from .key_pages import list_page

if TYPE_CHECKING:
    from .tree import Tree

HTML = 'text/html; charset=utf-8'
#: The page runs nothing and loads nothing, whatever the names in it are.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
#: The most rows of a page; S3's listing gives the rest.
MAX_ROWS = 1000
_STYLE = 'body{font:14px sans-serif;margin:2em}td{padding:2px 1.5em 2px 0}td+td{text-align:right;color:#555}'


def folder_page(tree: Tree, folder: str) -> bytes | None:
    """Return the page of a folder, or None where there is no such folder.

    :param folder: without a slash at its end; empty for the root.
    :raises UnreadableImageError: it cannot be listed.
    """
    prefix = folder + '/' if folder else ''
    page = list_page(tree, prefix, '', MAX_ROWS, flat=False)
    if folder and not page.values and not page.prefixes:
        return None
    rows = [_row('../', '', '')] if folder else []
    rows += [_row(name[len(prefix) :], '', '') for name in page.prefixes]
    for one in page.values:
        when = '' if one.modified is None else http_date(one.modified)
        rows.append(_row(one.name[len(prefix) :], f'{one.size:,}', when))
    title = escape('/' + prefix)
    more = '' if page.following is None else f'<p>Only the first {MAX_ROWS} are shown.</p>'
    return (
        f'<!DOCTYPE html>\n<html><head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f'</head><body><h1>{title}</h1><table>\n{"".join(rows)}</table>{more}</body></html>\n'
    ).encode()


def _row(name: str, size: str, when: str) -> str:
    # Quoted, a colon is no end of a scheme.
    return f'<tr><td><a href="{quote(name)}">{escape(name)}</a></td><td>{size}</td><td>{when}</td></tr>\n'
