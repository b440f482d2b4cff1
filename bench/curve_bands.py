"""Bands for curve_check from runs of densecl_train with --print-freq 1:

    curve_bands.py METRICS.jsonl... > BANDS.json

Means over windows of 50 steps of each run; a band is where one more run of the same kind falls with 99.73 % (three
standard deviations of a normal distribution, if those were known): mean +- t * s * sqrt(1 + 1/n) of n runs, s their
standard deviation, t Student's with n - 1 degrees of freedom. Losses are unweighted: those of the log over 1 - lambda
and lambda (0.5). How many means of the runs themselves lie outside the bands of the others goes to standard error.
"""

import json
import math
import statistics
import sys

WINDOW = 50
LAMBDA = 0.5
# JCGM 100:2008 (GUM), table G.2, 99.73 %, by degrees of freedom
STUDENT = [235.80, 19.21, 9.22, 6.62, 5.51, 4.90, 4.53, 4.28, 4.09, 3.96, 3.85, 3.76, 3.69, 3.64, 3.59, 3.54]


def values(row):
    return {
        "loss_global": row["loss_contra_single"] / (1 - LAMBDA),
        "loss_dense": row["loss_contra_dense"] / LAMBDA,
        "acc1": row["acc1"],
    }


def band(means):
    factor = STUDENT[min(len(means) - 1, len(STUDENT)) - 1]
    spread = factor * statistics.stdev(means) * math.sqrt(1 + 1 / len(means))
    return [statistics.fmean(means) - spread, statistics.fmean(means) + spread]


def outside(means):
    """How many of the runs lie outside the bands of the others."""
    bands = [band(means[:i] + means[i + 1 :]) for i in range(len(means))]
    return sum(not low <= mean <= high for mean, (low, high) in zip(means, bands))


def main():
    if len(sys.argv) < 4:
        sys.exit("curve_bands.py: expected three runs or more\n" + __doc__.split("\n\n")[1])
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
            window[key] = {"seeds": means, "band": band(means)}
        windows.append(window)
    checks = [window[key]["seeds"] for window in windows for key in runs[0][0]]
    print(
        f"{sum(map(outside, checks))} of {len(checks) * len(runs)} means lie outside the bands of the other runs",
        file=sys.stderr,
    )
    recipe = {"method": "densecl", "arch": "resnet18", "lambda": LAMBDA}
    print(json.dumps({"recipe": recipe, "reference": "float32", "runs": "bfloat16", "windows": windows}))


main()
