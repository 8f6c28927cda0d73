"""What mkdocs does beside the pages of this folder: README.md as the first one, the code that they link to, charts.

In the repository links lead from a page to the files beside docs/; here those files become pages or files of the site.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from posixpath import dirname, join, normpath, relpath
from tempfile import TemporaryDirectory
from typing import Any

from mkdocs.structure.files import File

DOCS = Path(__file__).parent
ROOT = DOCS.parent
LINK = re.compile(r"(\]\()(?!https?:|mailto:|#)([^)#\s]+)")
LISTED = {".py": "python", ".toml": "toml", "": "text"}
"""Files that are shown as a page of code; Markdown is a page, and any other file is there as it is."""


def place_of(path: str) -> str:
    """Return where a file or folder of the repository is in the site, as mkdocs names its source."""
    if path == "README.md":
        return "index.md"
    if path.startswith("docs/") and (ROOT / path).is_file() and not path.endswith(".py"):
        return path.removeprefix("docs/")
    listed = (ROOT / path).is_dir() or Path(path).suffix in LISTED
    return f"source/{path}.md" if listed else f"source/{path}"


def linked(text: str, page: str) -> dict[str, str]:
    """Return the links of a page of the repository, and the files and folders that they lead to."""
    return {link: normpath(join(dirname(page), link)) for _, link in LINK.findall(text)}


def on_files(files: Any, config: Any) -> Any:
    """Add README.md, what pages link to outside of docs/, and the charts of the gallery."""
    waiting = {"README.md"}
    for file in files.documentation_pages():
        waiting.update(linked(file.content_string, f"docs/{file.src_uri}").values())
    while waiting:
        path = waiting.pop()
        place, source = place_of(path), ROOT / path
        if files.get_file_from_path(place):
            continue
        if source.is_dir():
            inside = sorted(f"{path}/{each.name}" for each in source.iterdir() if each.is_file())
            waiting.update(inside)
            links = [f"- [{name.rpartition('/')[2]}]({relpath(place_of(name), dirname(place))})" for name in inside]
            files.append(File.generated(config, place, content="\n".join([_title(path), *links, ""])))
        elif source.suffix == ".md":
            text = source.read_text(encoding="utf-8")
            waiting.update(linked(text, path).values())
            rewritten = _rewritten(text, path)
            files.append(File.generated(config, place, content=rewritten))
        elif source.suffix in LISTED:
            files.append(File.generated(config, place, content=_title(path) + _listing(source)))
        else:
            files.append(File.generated(config, place, abs_src_path=str(source)))
    with TemporaryDirectory() as folder:
        for each in _gallery().PICTURES:
            if not each.kept:
                drawn = each.draw(Path(folder)).read_bytes()
                files.append(File.generated(config, f"images/{each.file}", content=drawn))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links of the repository into those of the site; the gallery has all of its charts here."""
    if page.file.src_uri == "gallery.md":
        return str(_gallery().gallery_page(drawn=True))
    return markdown if page.file.generated_by else _rewritten(markdown, f"docs/{page.file.src_uri}")


def _rewritten(text: str, page: str) -> str:
    leads, here = linked(text, page), dirname(place_of(page)) or "."
    return LINK.sub(lambda link: link[1] + relpath(place_of(leads[link[2]]), here), text)


def _gallery() -> Any:
    if str(DOCS) not in sys.path:
        sys.path.insert(0, str(DOCS))
    import gallery

    return gallery


def _title(path: str) -> str:
    """The heading of code, which search passes by."""
    return f"---\nsearch:\n  exclude: true\n---\n\n# `{path}`\n\n"


def _listing(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    fence = "`" * max(3, 1 + max((len(each) for each in re.findall(r"`+", text)), default=0))
    return f'{fence}{{.{LISTED[path.suffix]} linenums="1"}}\n{text.rstrip()}\n{fence}\n'
