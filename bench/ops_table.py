#!/usr/bin/env python3
"""The table of ops_race.sh: `ops_table.py OURS THEIRS`, files of what bench_ops and torch_ops.py have printed."""
import json, statistics, sys

TARGET = 0.9  # of PyTorch's speed


def rounds_of(path):
    rounds = {}
    with open(path) as file:
        for line in file:
            op = json.loads(line)
            rounds.setdefault(op["name"], []).append(op)
    return rounds


def rate(amount, ms):
    return f"{amount / ms * 1e-6:,.0f}" if amount else ""


def row(ours, theirs):
    ratios = sorted(b["ms"] / a["ms"] for a, b in zip(ours, theirs, strict=True))
    ratio = statistics.median(ratios)
    ms, peer_ms = (statistics.median(op["ms"] for op in side) for side in (ours, theirs))
    # What a busy machine changes least.
    of_least = min(op["ms"] for op in theirs) / min(op["ms"] for op in ours)
    op = ours[0]
    return of_least, (f"| {' '.join(op['name'].replace('_', ' ').split())} | {ms:.3f} | {peer_ms:.3f} |"
                   f" {ratio:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) |"
                   f" {of_least:.2f}{' **below**' if of_least < TARGET else ''} |"
                   f" {rate(op['flop'], ms)} | {rate(op['bytes'], ms)} |")


ours, theirs = (rounds_of(path) for path in sys.argv[1:])
rows = sorted(row(ours[name], theirs[name]) for name in ours)
print("| operation | ms | PyTorch, ms | ratio (least to largest) | of least times | GFLOP/s | GB/s |\n"
      "|---|---|---|---|---|---|---|")
print("\n".join(text for _, text in rows))
below = sum(ratio < TARGET for ratio, _ in rows)
print(f"\n{below} of {len(rows)} below {TARGET}; median ratio {statistics.median(ratio for ratio, _ in rows):.2f}")
