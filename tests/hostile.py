"""Text that attacks its reader: in a browser, a terminal, a viewer of Markdown, a spreadsheet; and what shows that none did."""

import unicodedata

HOST = "hostile.invalid"
RAN = "script-42-ran"
"""Stands in a page only where a script has put it together."""
JS = f"top.document.title='script-'+6*7+'-ran';new Image().src='http://{HOST}/js'"

LOADED = (
    f"<script>{JS}</script>",
    f'<img src="http://{HOST}/img" onerror="{JS}">',
    f'<svg onload="{JS}"><script>{JS}</script></svg>',
    f"<style>@import url(http://{HOST}/import);body{{background:url(http://{HOST}/background)}}</style>",
    f'<link rel="stylesheet" href="http://{HOST}/link">',
    f'<input autofocus onfocus="{JS}">',
)
"""What a browser runs or fetches by itself, each of which a content policy stops."""
BROKEN_OUT = (
    f'"><script>{JS}</script>',
    f"' onerror='x' autofocus onfocus=\"{JS}\" x='",
    f"</title></style></textarea></pre><script>{JS}</script>",
    f"]]></desc></svg><script>{JS}</script>",
    f"--><script>{JS}</script>",
    f"&lt;script&gt;{JS}&lt;/script&gt;",
    f'<iframe src="javascript:{JS}" srcdoc="<script>{JS}</script>"></iframe>',
    f'<object data="http://{HOST}/object"></object><embed src="http://{HOST}/embed">',
    f'<base href="http://{HOST}/"><form action="http://{HOST}/form"><button autofocus>',
    f'<a href="javascript:{JS}">x</a> javascript:{JS}',
    f'<meta http-equiv="refresh" content="0;url=http://{HOST}/refresh">',
    "{{ 7*7 }} {% for x in y %} ${7*7}",
)
TERMINAL = (
    "\x1b[31m\x1b[2J",
    "\x1b]8;;http://hostile.invalid\x1b\\link\x1b]8;;\x1b\\",
    "\x1b]52;c;aGk=\x07",
    "\x1b]0;title\x07",
    "\x9b31m\x90q\x9c",
    "\x08\x08\x7f\x00",
    "over\rwritten\r\nlmia: a line of its own",
    "\u202egpj.exe\u2066\u2069\u200f",
    "\u2028\u2029\ufeff",
    "[bold red]markup[/] [link=http://hostile.invalid]x[/link]",
)
MARKDOWN = (
    f"[x](http://{HOST}) ![x](http://{HOST}/md.png) <http://{HOST}> www.{HOST} http://{HOST}",
    f"[x]: http://{HOST}\n\n# head\n\n| a | b |\n```\n*em* _em_ ~~del~~ `code`",
)
SPREADSHEET = (
    f'=HYPERLINK("http://{HOST}","x")',
    "+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1)",
    "\t=1+1",
    "\r=1+1",
    " =1+1",
    "＝1+1",  # noqa: RUF001
)
PAYLOADS = (*LOADED, *BROKEN_OUT, *TERMINAL, *MARKDOWN, *SPREADSHEET)
ALL = " ".join(PAYLOADS)

NAME = f'<img src=x onerror="{JS.replace("/", "&#47;")}">\x1b]0;title\x07\u202e\x9b31m[bold]\n'
"""Of a file: no slash, no NUL, nothing that a SPEC reads as a pattern."""


def unseen(text):
    """What of a text a terminal would obey or hide, besides line breaks and tabs."""
    overrides = ("LRO", "RLO", "LRE", "RLE", "PDF", "LRI", "RLI", "FSI", "PDI")
    return [
        c
        for c in text
        if c not in "\n\t"
        and (unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(c) in overrides)
    ]


def formulas(rows):
    """Cells that a spreadsheet would run: they begin as one, and are no numbers."""
    return [cell for row in rows for cell in row if cell.lstrip()[:1] in (*"=+-@＝＋－＠",) and not number(cell)]  # noqa: RUF001


def number(cell):
    try:
        float(cell)
    except ValueError:
        return False
    return True
