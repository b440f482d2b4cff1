#!/usr/bin/env python3
"""The table of race.sh: `head`, `agree FILE` (do both sides compute the same losses?) and `row FILE`; the file holds
what the programs have printed, an object a line."""
import json, statistics, sys

# Largest difference of a loss between the two sides, of the loss: rounding grows from step to step.
ALLOWED = {"fp32": 1e-2, "bf16": 5e-2}


def lines(path):
    with open(path) as file:
        return [json.loads(line) for line in file]


def agree(path):
    ours, theirs = lines(path)
    for step, (a, b) in enumerate(zip(ours["losses"], theirs["losses"], strict=True)):
        allowed = ALLOWED[ours["precision"]] * (0.01 if step == 0 and ours["precision"] == "fp32" else 1)
        if not abs(a - b) <= allowed * abs(b):
            sys.exit(f"race: the losses of step {step + 1} are {a} and LibTorch's {b}: not the same computation")


def side(line):
    if "openvino" in line:
        return "openvino"
    if "torch" not in line:
        return "ours"
    return "compile" if line.get("compile") else "nchw" if line["nchw"] else "channels_last"


def rate(rounds):
    return statistics.median(each["pairs_per_s"] for each in rounds)


def ratio(ours, theirs):
    all_ = sorted(a["pairs_per_s"] / b["pairs_per_s"] for a, b in zip(ours, theirs, strict=True))
    return f"{statistics.median(all_):.2f} ({all_[0]:.2f} to {all_[-1]:.2f})"


def memory(rounds):
    peak = statistics.median(each["peak_MiB"] for each in rounds)
    return peak, f"{peak:.0f} ({peak - statistics.median(each['start_MiB'] for each in rounds):.0f})"


def beside(ours, others):
    """Two cells: the rate of those that need not have run, and the ratio."""
    return (f"{rate(others):.2f}", ratio(ours, others)) if others else ("-", "-")


def row(path):
    runs = {}
    for line in lines(path):
        runs.setdefault(side(line), []).append(line)
    ours = runs["ours"]
    layout = max(("channels_last", "nchw"), key=lambda name: rate(runs[name]))
    eager = runs[layout]
    our_peak, our_memory = memory(ours)
    # The better layout's memory, and not that of the one that needs most.
    their_peak, their_memory = memory(eager)
    first = ours[0]
    cells = [f"{first['precision']} {first['method']} {first['arch']}, {first['size']} px, batch {first['batch']}",
             f"{rate(ours):.2f}", f"{rate(runs['channels_last']):.2f}, {rate(runs['nchw']):.2f}", ratio(ours, eager),
             *beside(ours, runs.get("compile")), *beside(ours, runs.get("openvino")), our_memory, their_memory, f"{our_peak / their_peak:.2f}"]
    print("| " + " | ".join(cells) + " |", flush=True)


def head():
    cells = ["step", "this engine, pairs/s", "LibTorch channels_last, NCHW", "ratio to the better (least to largest)",
             "torch.compile", "ratio", "OpenVINO", "ratio", "memory", "LibTorch's", "ratio"]
    print("| " + " | ".join(cells) + " |\n" + "|---" * len(cells) + "|", flush=True)


{"head": head, "agree": agree, "row": row}[sys.argv[1]](*sys.argv[2:])
