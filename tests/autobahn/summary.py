"""Judges reports of wstest, and sums them up.

    summary.py [--cases COUNT] [--write FILE --versions FILE] REPORT-DIRECTORY...
"""
import argparse
import collections
import datetime
import json
import pathlib
import sys

GOOD = ("OK", "INFORMATIONAL")
VERDICTS = ("OK", "INFORMATIONAL", "NON-STRICT", "WRONG CODE", "UNCLEAN", "FAILED BY CLIENT", "FAILED", "UNIMPLEMENTED")
CLOSED_BY = {"server-http1": "over HTTP/1.1", "server-http2": "over HTTP/2, behind HAProxy",
             "client-http1": "over HTTP/1.1", "client-http2": "over HTTP/2, before HAProxy"}


def by_number(case):
    return [int(part) for part in case.split(".")]


def read(directory):
    """The cases of the one agent in a report."""
    (cases,) = json.loads((directory / "index.json").read_text()).values()
    return dict(sorted(cases.items(), key=lambda item: by_number(item[0])))


def count(cases, kind):
    counts = collections.Counter(case[kind] for case in cases.values())
    known = [f"{counts.pop(verdict)} {verdict}" for verdict in VERDICTS if verdict in counts]
    return ", ".join(known + [f"{n} {verdict}" for verdict, n in counts.items()])


def problems(name, cases, expected):
    found = [
        f"{name}: case {number}: {case['behavior']}, close {case['behaviorClose']}"
        for number, case in cases.items()
        if case["behavior"] not in GOOD or case["behaviorClose"] not in GOOD
    ]
    if not cases:
        found.append(f"{name}: no cases")
    if expected is not None and len(cases) != expected:
        found.append(f"{name}: {len(cases)} cases instead of {expected}")
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("reports", nargs="+", type=pathlib.Path)
    parser.add_argument("--cases", type=int)
    args, _ = parser.parse_known_args()
    found = []
    for directory in args.reports:
        cases = read(directory)
        print(directory.name, len(cases), count(cases, "behavior"), "| close", count(cases, "behaviorClose"))
        found += problems(directory.name, cases, args.cases)
    print("\n".join(found))
    sys.exit(bool(found))
main()
