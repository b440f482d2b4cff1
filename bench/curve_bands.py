"""Bands for curve_check from runs of densecl_train with --print-freq 1:

    curve_bands.py METRICS.jsonl... > BANDS.json

Means over windows of 50 steps of each run; a band is their mean plus or minus three standard deviations (of a sample).
Losses are unweighted: those of the log over 1 - lambda and lambda (0.5).
"""

import json
import statistics
import sys

WINDOW = 50
LAMBDA = 0.5


def values(row):
    return {
        "loss_global": row["loss_contra_single"] / (1 - LAMBDA),
        "loss_dense": row["loss_contra_dense"] / LAMBDA,
        "acc1": row["acc1"],
    }


def main():
    if len(sys.argv) < 3:
        sys.exit("curve_bands.py: a band needs two runs or more\n" + __doc__.split("\n\n")[1])
    runs = []
    for path in sys.argv[1:]:
        with open(path) as lines:
            rows = [json.loads(line) for line in lines]
        if [row["step"] for row in rows] != list(range(len(rows))):
            sys.exit(f"{path}: steps are missing, expected a run with --print-freq 1")
        runs.append([values(row) for row in rows])
    steps = min(map(len, runs))
    windows = []
    for first in range(0, steps - WINDOW + 1, WINDOW):
        window = {"steps": [first, first + WINDOW]}
        for key in runs[0][0]:
            means = [statistics.fmean(step[key] for step in run[first : first + WINDOW]) for run in runs]
            mean, spread = statistics.fmean(means), 3 * statistics.stdev(means)
            window[key] = {"seeds": means, "band": [mean - spread, mean + spread]}
        windows.append(window)
    recipe = {"method": "densecl", "arch": "resnet18", "lambda": LAMBDA}
    print(json.dumps({"recipe": recipe, "reference": "float32", "runs": "bfloat16", "windows": windows}))


main()
