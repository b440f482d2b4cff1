#!/usr/bin/env python3
"""Makes the archives that tests/data/tar_source_test.cpp reads, and what Python's tarfile finds in them.

    python3 make.py [FOLDER]

sizes.tar     entries without contents (links, devices, folders, pipes) whose headers name a size all the same
links_*.tar   hard and symbolic links, to members before and behind them, by long names and to nowhere
pictures.json of each archive the .jpg members in its order, with their bytes as text, null for links to nowhere
"""
import io
import json
import pathlib
import sys
import tarfile


def add(archive, name, text):
    entry = tarfile.TarInfo(name)
    entry.size = len(text)
    archive.addfile(entry, io.BytesIO(text.encode()))


def add_empty(archive, name, kind, target="", size=0, pax=None):
    entry = tarfile.TarInfo(name)
    entry.type = kind
    entry.linkname = target
    entry.size = size
    entry.pax_headers = pax or {}
    archive.addfile(entry)


def sizes(archive):
    add(archive, "first.jpg", "first")
    for kind in (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE):
        number = int(kind)
        add_empty(archive, f"header{number}", kind, "first.jpg", size=1024)
        add(archive, f"header{number}.jpg", f"behind {number}")
        if kind != tarfile.LNKTYPE:  # where GNU tar skips as many bytes and Python does not
            add_empty(archive, f"pax{number}", kind, "first.jpg", pax={"size": "1024"})
            add(archive, f"pax{number}.jpg", f"behind {number} with a pax record")


def links(archive):
    def link(name, target, kind=tarfile.SYMTYPE):
        add_empty(archive, name, kind, target)

    hard = tarfile.LNKTYPE
    far = "d" * 120 + "/" + "f" * 90 + ".jpg"
    link("behind_later.jpg", "later.jpg", hard)  # nowhere: a hard link is to what was there before
    add(archive, "./a.jpg", "a")
    link("./b.jpg", "./a.jpg", hard)
    link("other_way.jpg", "x/..//a.jpg", hard)
    link("hard_of_hard.jpg", "b.jpg", hard)
    add(archive, far, "far")
    link("h" * 120 + ".jpg", far, hard)  # a long name and a long target
    link("s" * 120 + ".jpg", far)
    link("short.jpg", far)
    add(archive, "plain.jpg", "plain")  # which inherits nothing
    add(archive, "twice.jpg", "first")
    link("to_first.jpg", "twice.jpg", hard)
    link("to_last.jpg", "twice.jpg")
    add(archive, "twice.jpg", "second")
    link("to_second.jpg", "twice.jpg", hard)
    link("s/up.jpg", "../a.jpg")
    link("s/later.jpg", "beside.jpg")
    add(archive, "s/beside.jpg", "beside")
    link("chain1.jpg", "chain2.jpg")
    link("chain2.jpg", "s/up.jpg")
    link("hard_of_symbolic.jpg", "s/later.jpg", hard)
    link("nowhere1.jpg", "nowhere.jpg", hard)
    link("nowhere2.jpg", "../nowhere.jpg")
    link("nowhere3.jpg", "nowhere2.jpg", hard)
    link("self.jpg", "self.jpg")
    link("loop1.jpg", "loop2.jpg")
    link("loop2.jpg", "loop1.jpg")
    link("folder", "s")
    link("through_folder.jpg", "folder/beside.jpg")
    add(archive, "later.jpg", "later")


def text_of(archive, entry):
    try:
        return archive.extractfile(entry).read().decode()
    except (KeyError, RecursionError):
        return None


def pictures(path):
    found = []
    with tarfile.open(path) as archive:
        for entry in archive:
            if entry.name.endswith(".jpg"):
                found.append([entry.name, text_of(archive, entry)])
    return found


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
    archives = {"sizes.tar": (sizes, tarfile.PAX_FORMAT), "links_gnu.tar": (links, tarfile.GNU_FORMAT),
                "links_pax.tar": (links, tarfile.PAX_FORMAT)}
    for name, (fill, layout) in archives.items():
        with tarfile.open(folder / name, "w", format=layout) as archive:
            fill(archive)
    listed = {name: pictures(folder / name) for name in archives}
    (folder / "pictures.json").write_text(json.dumps(listed, indent=1) + "\n")


if __name__ == "__main__":
    main()
