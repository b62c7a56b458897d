"""Prints what a report says, without times, ids and the order of the tests: shown.py KIND PATH."""
import glob
import html
import json
import os
import re
import sys

TIMES = {"created", "duration", "start", "stop", "time", "msecs", "relativeCreated", "process", "thread", "environment", "root", "title",
         "uuid", "Python", "Platform", "testCaseId"}
# Fixtures of single tests; of the session's each worker has one of its own.
OF_TESTS = {"broken", "late", "second", "tmp_path", "extras", "record_property"}


def plain(value):
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items() if k not in TIMES}
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, str):
        return re.sub(r"0x[0-9a-f]+|pytest-\d+/(popen-gw\d/)?|\d+ ms|\d\d:\d\d:\d\d", "N", value)
    return value


def key(value):
    return json.dumps(value, sort_keys=True)


def of_json(path):
    with open(path) as f:
        report = plain(json.load(f))
    report["tests"].sort(key=key)
    report.get("warnings", []).sort(key=key)
    return report


def of_log(path):
    with open(path) as f:
        return sorted((plain(json.loads(line)) for line in f), key=key)


def of_html(path):
    with open(path) as f:
        text = f.read()
    report = plain(json.loads(html.unescape(re.search(r'data-jsonblob="([^"]*)"', text).group(1))))
    for rows in report["tests"].values():
        rows.sort(key=key)
    report["counts"] = re.findall(r'<span class="(?:passed|skipped|failed|error|xfailed|xpassed|rerun)">([^<]*)', text)
    report["run"] = re.search(r'class="run-count">([^<]*) took', text).group(1)
    return report


def of_allure(path):
    found, names = [], {}
    for name in glob.glob(path + "/*-result.json"):
        with open(name) as f:
            result = json.load(f)
        names[result["uuid"]] = result["fullName"]
        attached = []
        for a in result.get("attachments", ()):
            with open(os.path.join(path, a["source"])) as f:
                attached.append((a["name"], f.read()))
        result["attachments"] = sorted(attached)
        result["labels"] = sorted((label["name"], label["value"]) for label in result["labels"] if label["name"] not in ("host", "thread"))
        found.append(plain(result))
    for name in glob.glob(path + "/*-container.json"):
        with open(name) as f:
            container = json.load(f)
        if OF_TESTS & {b["name"] for b in container.get("befores", ())}:
            found.append(plain(dict(container, children=sorted(names.get(c, "?") for c in container.get("children", ())))))
    return sorted(found, key=key)


print(json.dumps(globals()["of_" + sys.argv[1]](sys.argv[2]), indent=1, sort_keys=True))
