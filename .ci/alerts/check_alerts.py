#!/usr/bin/env python3
"""Plays a scenario for every shipped alert and shows with promtool that it fires there, and that none fires on a calm day.

    check_alerts.py BROWNOUT [NAME...]

Every scenario beside this file but calm.toml is named after the alert it is for: queue-old.toml is for BrownoutQueueOld.
The series are those that the service told the scraper during the run. Needs promtool (package prometheus), no server.
"""

import collections
import json
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
RULES = HERE.parent.parent / "service/deploy/prometheus/alerts.yml"
SCRAPE_S = 15
SAMPLE = re.compile(r"^(?P<series>\S+?(?:\{.*\})?) (?P<value>\S+) (?P<at>\d+\.\d+)$")


def main(brownout, names):
    alerts = re.findall(r"^ +- alert: (\w+)$", RULES.read_text(), re.MULTILINE)
    scenarios = {alert_of(path.stem): path for path in sorted(HERE.glob("*.toml")) if path.stem != "calm"}
    missing = set(alerts) ^ set(scenarios)
    assert not missing, f"an alert without a scenario, or a scenario without an alert: {sorted(missing)}"
    run(["promtool", "check", "rules", str(RULES)])
    chosen = [HERE / "calm.toml", *scenarios.values()]
    chosen = [path for path in chosen if not names or path.stem in names]
    with tempfile.TemporaryDirectory() as out:
        out = pathlib.Path(out)
        # What the scenarios expect of themselves is nothing: their books have to balance.
        run([brownout, "run", *map(str, chosen), "--quiet", "--no-spot-check", "--out", str(out)])
        wrong = [line for path in chosen for line in judged(path, out, alerts)]
    if wrong:
        sys.exit("\n".join(wrong))
    if not names:
        print(f"{len(alerts)} alerts; each fires in its scenario, none on a calm day")


def alert_of(stem):
    return "Brownout" + "".join(word.capitalize() for word in stem.split("-"))


def judged(path, out, alerts):
    """What is wrong with the alerts in the scenario, and on standard output, which of them fired."""
    for series in sorted((out / path.stem).glob("metrics-*.om")):
        accepted_by_prometheus(series, out)
        firing = {alert for alert in alerts if fires(alert, series, out)}
        print(f"{path.stem} ({series.stem.removeprefix('metrics-')}): {', '.join(sorted(firing)) or 'silence'}", flush=True)
        if path.stem == "calm":
            yield from (f"{alert} fires on a calm day ({series.stem})" for alert in sorted(firing))
        elif alert_of(path.stem) not in firing:
            yield f"{alert_of(path.stem)} does not fire in {path.name}"


def accepted_by_prometheus(series, out):
    """The file is OpenMetrics as Prometheus itself reads it."""
    with tempfile.TemporaryDirectory(dir=out) as blocks:
        run(["promtool", "tsdb", "create-blocks-from", "openmetrics", str(series), blocks])


def fires(alert, series, out):
    """Whether the alert fires at any time of the run."""
    points = read(series)
    last = max(len(values) for values in points.values())
    count = f'count(count_over_time(ALERTS{{alertname="{alert}",alertstate="firing"}}[{last * SCRAPE_S}s]))'
    test = {
        "rule_files": [str(RULES)],
        "evaluation_interval": f"{SCRAPE_S}s",
        "tests": [
            {
                "interval": f"{SCRAPE_S}s",
                "input_series": [
                    {"series": name, "values": " ".join(values)} for name, values in sorted(points.items())
                ],
                # Expected to be silent: then promtool is content exactly if it is.
                "promql_expr_test": [{"expr": count, "eval_time": f"{(last - 1) * SCRAPE_S}s", "exp_samples": []}],
            }
        ],
    }
    file = out / "test.yml"
    # JSON is YAML.
    file.write_text(json.dumps(test))
    done = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True)
    if done.returncode == 0:
        return False
    said = done.stdout + done.stderr
    assert "exp:" in said and "got:" in said, said
    return True


def read(path):
    """Series with a value for each scrape: `_` where there was none."""
    points = collections.defaultdict(dict)
    for line in path.read_text().splitlines():
        if match := SAMPLE.match(line):
            points[match["series"]][float(match["at"])] = match["value"]
    start = min(min(values) for values in points.values())
    end = max(max(values) for values in points.values())
    steps = round((end - start) / SCRAPE_S) + 1
    series = {}
    for name, values in points.items():
        row = ["_"] * steps
        for at, value in values.items():
            row[round((at - start) / SCRAPE_S)] = value
        series[name] = row
    return series


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{command[0]} {command[1]} ended with {done.returncode}:\n{done.stdout}{done.stderr}"


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2:])
