#!/usr/bin/env python3
"""The vulnerable (package, advisory) pairs of a Debian image, by dpkg's own comparison of versions.

usage: dpkg_pairs.py OCI_LAYOUT OSV_ARCHIVE RELEASE

An independent second opinion for the corpus test: it shares no code with Tidewatch. Prints the pairs as a JSON list.
"""

import functools
import gzip
import json
import os
import subprocess
import sys
import tarfile
import zipfile


def blob(layout, digest):
    return os.path.join(layout, "blobs", *digest.split(":"))


def package_database(layout):
    """The last var/lib/dpkg/status over all layers."""
    with open(os.path.join(layout, "index.json")) as file:
        manifest = json.load(file)["manifests"][0]["digest"]
    with open(blob(layout, manifest)) as file:
        layers = json.load(file)["layers"]
    status = None
    for layer in layers:
        with tarfile.open(fileobj=gzip.open(blob(layout, layer["digest"]))) as archive:
            for entry in archive:
                if entry.name.removeprefix("./") == "var/lib/dpkg/status":
                    status = archive.extractfile(entry).read().decode()
    return status


def installed(status):
    """(package, source package, source version) of each installed package."""
    for stanza in status.split("\n\n"):
        lines = [line for line in stanza.split("\n") if line and not line[0].isspace()]
        fields = {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
        if fields.get("Status") != "install ok installed":
            continue
        source, version = fields.get("Source", fields["Package"]), fields["Version"]
        if "(" in source:
            source, version = source.rstrip(")").split(" (")
        yield fields["Package"], source, version


@functools.cache
def less(one, other):
    return subprocess.call(["dpkg", "--compare-versions", one, "lt", other]) == 0


def affects(affected, version):
    if version in (affected.get("versions") or []):
        return True
    for span in affected.get("ranges") or []:
        if span["type"] != "ECOSYSTEM":
            continue
        ends = {name: [event[name] for event in span["events"] if name in event]
                for name in ("introduced", "fixed", "last_affected")}
        # Every range of this data has one beginning and at most one end; another would need the whole algorithm.
        assert len(ends["introduced"]) == 1 and len(ends["fixed"]) + len(ends["last_affected"]) <= 1, span
        begun = ends["introduced"][0] == "0" or not less(version, ends["introduced"][0])
        ended = (ends["fixed"] and not less(version, ends["fixed"][0])) or (
            ends["last_affected"] and less(ends["last_affected"][0], version))
        if begun and not ended:
            return True
    return False


def advisories(path, release):
    """Source package to [(advisory, affected)]."""
    by_name = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            record = json.loads(archive.read(name))
            for affected in [] if record.get("withdrawn") else record.get("affected") or []:
                package = affected.get("package") or {}
                if package.get("ecosystem") == f"Debian:{release}":
                    by_name.setdefault(package["name"], []).append((record["id"], affected))
    return by_name


def main():
    layout, archive, release = sys.argv[1:]
    known = advisories(archive, release)
    pairs = {
        (package, advisory)
        for package, source, version in installed(package_database(layout))
        for advisory, affected in known.get(source, [])
        if affects(affected, version)
    }
    json.dump(sorted(pairs), sys.stdout)


main()
