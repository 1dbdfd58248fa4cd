"""Judges reports of wstest, and sums them up.

    summary.py [--cases COUNT] [--write FILE --versions FILE] REPORT-DIRECTORY...

Fails if a case is not passed as strictly as RFC 6455 asks, or not closed cleanly: both Closes
exchanged, with the code that the suite expects, by the end that has to close.
"""
import argparse
import collections
import datetime
import json
import pathlib
import sys

GOOD = ("OK", "INFORMATIONAL")

# A message that comes back only when the suite gives up on it, after 100 s, is OK for the suite.
STUCK = 60_000

NAMES = {
    "server-http1": "server, HTTP/1.1",
    "server-http2": "server, HTTP/2 behind HAProxy",
    "client-http1": "client, HTTP/1.1",
    "client-http2": "client, HTTP/2 to HAProxy",
}


class Report:
    """The cases of one run, in their order."""

    def __init__(self, directory):
        self.name = NAMES.get(directory.name, directory.name)
        (index,) = json.loads((directory / "index.json").read_text()).values()
        self.cases = [
            json.loads((directory / case["reportfile"]).read_text())
            for _, case in sorted(index.items(), key=lambda item: [int(n) for n in item[0].split(".")])
        ]

    def count(self, key):
        counts = collections.Counter(case[key] for case in self.cases)
        return ", ".join(f"{n} {verdict}" for verdict, n in sorted(counts.items(), key=lambda item: -item[1]))

    def clean(self):
        return sum(case["wasClean"] for case in self.cases)

    def informational(self):
        """Number, messages that came back, and code of the Close that came."""
        for case in self.cases:
            if "INFORMATIONAL" in (case["behavior"], case["behaviorClose"]):
                yield case["id"], len(case["received"]), case["remoteCloseCode"]

    def problems(self, expected):
        if not self.cases or len(self.cases) != (expected or len(self.cases)):
            yield f"{self.name}: {len(self.cases)} cases instead of {expected or 'any'}"
        for case in self.cases:
            verdicts = [case["behavior"], case["behaviorClose"]]
            if not case["wasClean"]:
                verdicts.append(f"not closed cleanly: {case['wasNotCleanReason']}")
            if case["duration"] >= STUCK:
                verdicts.append(f"took {case['duration'] / 1000:.0f} s")
            if len(verdicts) > 2 or not set(verdicts) <= set(GOOD):
                yield f"{self.name}: case {case['id']}: {', '.join(verdicts)}"


def summary(reports, versions):
    yield "# Autobahn"
    yield ""
    yield "Written by `tests/autobahn/run`: all cases of the suite but those of compression (12 and 13)."
    yield ""
    yield f"- {datetime.date.today()}"
    yield from versions.read_text().splitlines()
    yield ""
    yield "| the stream as | cases | behavior | close | closed cleanly |"
    yield "|---|---|---|---|---|"
    for report in reports:
        verdicts = f"{report.count('behavior')} | {report.count('behaviorClose')}"
        yield f"| {report.name} | {len(report.cases)} | {verdicts} | {report.clean()} |"
    yield ""
    yield "INFORMATIONAL are the cases for which RFC 6455 leaves the behaviour open. What came of them:"
    yield ""
    yield "| case | messages that came back | code of the Close | the stream as |"
    yield "|---|---|---|---|"
    outcomes = collections.defaultdict(list)
    for report in reports:
        for outcome in report.informational():
            outcomes[outcome].append(report.name)
    for (case, messages, code), names in outcomes.items():
        who = "all" if len(names) == len(reports) else "; ".join(names)
        yield f"| {case} | {messages} | {code} | {who} |"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directories", nargs="+", type=pathlib.Path)
    parser.add_argument("--cases", type=int)
    parser.add_argument("--write", type=pathlib.Path)
    parser.add_argument("--versions", type=pathlib.Path)
    arguments = parser.parse_args()

    reports = [Report(directory) for directory in arguments.directories]
    problems = [problem for report in reports for problem in report.problems(arguments.cases)]
    for report in reports:
        print(
            f"autobahn: {report.name}: {len(report.cases)} cases; {report.count('behavior')};",
            f"close {report.count('behaviorClose')}; {report.clean()} clean",
        )
    for problem in problems:
        print(f"autobahn: {problem}", file=sys.stderr)
    if problems:
        sys.exit(1)
    if arguments.write:
        arguments.write.write_text("\n".join(summary(reports, arguments.versions)) + "\n")


main()
