"""Public-domain English from Debian packages, one file a work.

    apt-get install bible-kjv bible-kjv-text
    apt-get download r-cran-janeaustenr r-cran-tokenizers
    for f in r-cran-*.deb; do dpkg-deb -x "$f" debs; done
    pip install rdata
    python gutenberg.py --debs debs --out text

Writes text/train/WORK.txt and text/validation/WORK.txt: the King James Bible,
six novels by Jane Austen, Moby-Dick. The last 5 % of each work, cut at a
paragraph, is for validation. One paragraph a line; a chapter of the Bible is one.
"""

import argparse
import pathlib
import re
import subprocess
import unicodedata
import warnings
import zlib

TYPOGRAPHY = str.maketrans(
    {"‘": "'", "’": "'", "“": '"', "”": '"', "—": "--", "–": "-", "\ufeff": ""}
)
HEADING = re.compile(r"(volume|chapter)\b.{0,120}$|(finis|the end)\b\.?$", re.IGNORECASE)


def package_objects(debs, package):
    """Reads an R package's lazy-load database: .rdx holds (offset, length) of
    the entries of .rdb, each a 4-byte length and a zlib stream."""
    import rdata  # only this step needs it

    data = pathlib.Path(debs, "usr/lib/R/site-library", package, "data")
    blob = (data / "Rdata.rdb").read_bytes()
    objects = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, (offset, length) in rdata.read_rds(data / "Rdata.rdx")["variables"].items():
            raw = zlib.decompress(blob[offset + 4 : offset + length])
            lines = rdata.conversion.convert(rdata.parser.parse_data(raw))
            objects[str(name)] = "\n".join(map(str, lines))
    return objects


def is_prose(line):
    return (
        line and not HEADING.match(line) and re.search("[a-z]", line) and set(line) - set("* -")
    )


def paragraphs(text):
    """Unwrapped paragraphs without headings and emphasis marks."""
    text = unicodedata.normalize("NFC", text.translate(TYPOGRAPHY))
    text = text.replace("\r\n", "\n").replace("_", "")
    unwrapped = (re.sub(r"\s+", " ", part).strip() for part in re.split(r"\n\s*\n", text))
    return [line for line in unwrapped if is_prose(line)]


def king_james_bible():
    verses = subprocess.run(
        ["bible", "-f", "gen1:1-rev22:21"], capture_output=True, text=True, check=True
    ).stdout
    chapters = {}
    for book, chapter, verse in re.findall(r"^(\S+?)(\d+):\d+ (.*)$", verses, re.MULTILINE):
        chapters.setdefault((book, chapter), []).append(verse.strip())
    return [" ".join(lines) for lines in chapters.values()]


def collect(debs):
    works = {"king_james_bible": king_james_bible()}
    for name, text in package_objects(debs, "janeaustenr").items():
        lines = paragraphs(text)
        # Title pages are short lines; one modern note follows the last novel.
        begin = next(i for i, line in enumerate(lines) if len(line) > 120)
        note = [i for i, line in enumerate(lines) if line.startswith("Northanger Abbey was written in 1797")]
        works["austen_" + name] = lines[begin : note[0] if note else None]
    moby_dick = package_objects(debs, "tokenizers")["mobydick"]
    begin, end = moby_dick.index("Call me Ishmael."), moby_dick.index("End of Project Gutenberg")
    works["melville_moby_dick"] = paragraphs(moby_dick[begin:end])
    return works


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--debs", required=True, help="where the packages are unpacked")
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    for name, lines in collect(arguments.debs).items():
        total, cut, seen = sum(map(len, lines)), 0, 0
        while seen < 0.95 * total:
            seen += len(lines[cut])
            cut += 1
        for split, part in (("train", lines[:cut]), ("validation", lines[cut:])):
            folder = pathlib.Path(arguments.out, split)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.txt").write_text("\n".join(part) + "\n", "utf-8")


if __name__ == "__main__":
    main()
