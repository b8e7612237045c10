"""Addresses of shards, by their looks: commands, web servers, what fsspec opens, what is packed."""

from __future__ import annotations


def is_pipe(url: str) -> bool:
    """Tell whether a shard is a shell command's output.

    Example:
        >>> is_pipe("pipe:cat a.tar"), is_pipe("./pipe:cat a.tar")
        (True, False)
    """
    return url.startswith("pipe:")


def is_remote(url: str) -> bool:
    """Tell whether an address is fsspec's to open.

    Example:
        >>> is_remote("s3://bucket/a.tar"), is_remote("a.tar"), is_remote("pipe:curl https://host/a.tar")
        (True, False, False)
    """
    return "://" in url and not is_pipe(url)


def is_http(url: str) -> bool:
    """Tell whether a web server is asked.

    Example:
        >>> is_http("https://host/a.tar"), is_http("s3://bucket/a.tar")
        (True, False)
    """
    return url.startswith(("http://", "https://"))


def bare(url: str) -> str:
    """Return an address without its query.

    Example:
        >>> bare("https://host/a.tar?token=1"), bare("a?.tar")
        ('https://host/a.tar', 'a?.tar')
    """
    return url.partition("?")[0] if is_remote(url) else url


def is_packed(url: str) -> bool:
    """Tell whether a shard is to be unpacked.

    Example:
        >>> is_packed("https://host/a.tgz?token=1"), is_packed("a.tar")
        (True, False)
    """
    return bare(url).endswith((".gz", ".tgz"))
