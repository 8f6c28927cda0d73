"""Charts inside a document: SVG without styles of its own, so that a strict policy holds and the page sets colours."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from costcalc.report.html.blocks import html_text

_SVG, _LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
_LETTER = "DejaVuSans-"
_SCALE = "scale(0.015625)"
_MOVED = re.compile(r"translate\((-?[\d.]+) 0\)")
_NUMBER = re.compile(r"-?\d+\.\d+")
_TURN = re.compile(r" ?([MLQCz]) ?")
_DIGITS = 2
"""Decimals of a place, in points: a hundredth of one is not seen in print."""


class Drawings:
    """Charts of one document, which share the letters that they draw."""

    def __init__(self) -> None:
        self._letters: set[str] = set()  # that are there already
        self._count = 0

    def figure(self, content: bytes, told: str) -> str:
        """Return a chart as a figure of the document.

        content: as SVG, as `costcalc.report.charts` draws it. told: what it shows, for those who do not see it.
        """
        root = ElementTree.fromstring(content)
        self._count += 1
        for parent in list(root.iter()):
            for child in list(parent):
                letter = child.get("id", "") if child.get("id", "").startswith(_LETTER) else ""
                if child.tag in (f"{_SVG}style", f"{_SVG}metadata") or letter in self._letters:
                    parent.remove(child)
                elif letter:
                    self._letters.add(letter)
        used = {value.lstrip("#") for each in root.iter() if (value := each.get(_LINK))}
        used |= {found[1] for each in root.iter() if (found := re.search(r"#(\w+)\)", each.get("clip-path", "")))}
        for each in root.iter():
            self._plain(each, used)
        width, height = (root.attrib.pop(name).removesuffix("pt") for name in ("width", "height"))
        root.attrib |= {"viewBox": f"0 0 {width} {height}", "role": "img", "aria-label": told}
        root.attrib |= {"stroke-linejoin": "round", "stroke-linecap": "butt"}
        text = ElementTree.tostring(_without_groups(root), encoding="unicode", short_empty_elements=True)
        text = text.replace("ns0:", "").replace(":ns0", "")
        return f"<figure>{text}<figcaption>{html_text(told)}</figcaption></figure>"

    def _plain(self, element: ElementTree.Element, used: set[str]) -> None:
        """Write styles as attributes, names so that no two charts share one, and places in short."""
        for part in element.attrib.pop("style", "").split(";"):
            name, _, value = part.partition(":")
            if value:
                element.set(name.strip(), value.strip())
        own = element.get("id", "")
        if own and own not in used:
            del element.attrib["id"]
        elif own:
            element.set("id", self._named(own))
        if link := element.attrib.pop(_LINK, ""):
            element.set("href", f"#{self._named(link.removeprefix('#'))}")
        if clip := element.get("clip-path"):
            element.set("clip-path", f"url(#{self._named(clip.removeprefix('url(#').removesuffix(')'))})")
        for name in ("d", "transform", "x", "y"):
            # The scale of a letter needs all of its digits.
            if (place := element.get(name)) and place != _SCALE:
                element.set(name, _TURN.sub(r"\1", _NUMBER.sub(_short, " ".join(place.split()))))
        if element.tag == f"{_SVG}use" and (moved := _MOVED.fullmatch(element.get("transform", ""))):
            del element.attrib["transform"]
            element.set("x", moved[1])

    def _named(self, name: str) -> str:
        """A name in the document: of a letter in all charts, of anything else in this one."""
        return f"l{name.removeprefix(_LETTER)}" if name.startswith(_LETTER) else f"c{self._count}{name}"


def _short(number: re.Match[str]) -> str:
    value = float(number[0])
    return f"{value:.{_DIGITS if abs(value) >= 1 else _DIGITS + 2}f}".rstrip("0").rstrip(".")


def _without_groups(root: ElementTree.Element) -> ElementTree.Element:
    """The chart without groups that say nothing, and without room between elements."""
    for parent in root.iter():
        parent.text = parent.tail = None
        while any(_says_nothing(child) for child in parent):
            parent[:] = [each for child in parent for each in (list(child) if _says_nothing(child) else [child])]
    return root


def _says_nothing(element: ElementTree.Element) -> bool:
    return (
        element.tag in (f"{_SVG}g", f"{_SVG}defs")
        and not element.attrib
        and (element.tag == f"{_SVG}g" or not len(element))
    )
