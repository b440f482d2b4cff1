#!/usr/bin/env python3
"""What a DenseCL step of ResNet-50 cannot do without on a GPU: operations, bytes, and the time that the larger of
the two takes, kernel by kernel, as this engine's kernels move them (docs/cuda.md). Nothing is measured here.

    bench/gpu_floor.py [--batch 256] [--size 224] [--queue 65536] [--tflops 790] [--tbytes 4.3]

bfloat16 activations, float32 weights. A layer's floor is max(operations / rate, bytes / bandwidth); each operand
counts once a kernel.
"""
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--batch", type=int, default=256)
parser.add_argument("--size", type=int, default=224)
parser.add_argument("--queue", type=int, default=65536)
parser.add_argument("--tflops", type=float, default=790, help="bfloat16 products, 10^12 operations a second")
parser.add_argument("--tbytes", type=float, default=4.3, help="memory, 10^12 bytes a second")
a = parser.parse_args()

B, DIM, HIDDEN, CHANNELS, PARAMETERS = a.batch, 128, 2048, 2048, 32.4e6
table = {}


def count(kernel, flop, size, calls=1):
    row = table.setdefault(kernel, [0, 0.0, 0.0, 0.0])
    seconds = max(flop / (a.tflops * 1e12), size / (a.tbytes * 1e12))
    for i, value in enumerate((calls, flop, size, seconds)):
        row[i] += value


def convolutions():
    """(side, in, kernel, stride, out, has a residual) of torchvision's ResNet-50; the stem's 3 channels are 8."""
    yield a.size, 8, 7, 2, 64, False
    side, channels = a.size // 4, 64
    for stage, (width, blocks) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)]):
        for block in range(blocks):
            stride = 2 if block == 0 and stage > 0 else 1
            yield side, channels, 1, 1, width, False
            yield side, width, 3, stride, width, False
            yield side // stride, width, 1, 1, 4 * width, True
            if block == 0:
                yield side, channels, 1, stride, 4 * width, False
            count("add_inplace of gradients", 0, 3 * B * side * side * channels * 2)  # of its two branches
            side, channels = side // stride, 4 * width


for side, cin, kernel, stride, cout, residual in convolutions():
    out = -(-side // stride)
    read = out if kernel == 1 else side  # a 1x1 of stride 2 skips pixels
    x, y, w = B * read * read * cin * 2, B * out * out * cout * 2, kernel * kernel * cin * cout * 2
    flop = 2 * B * out * out * cout * cin * kernel * kernel
    for _ in "qk":
        count("conv2d, forward, both encoders", flop, x + y + w)
        count("batch_norm_act, statistics", 0, y)
        count("batch_norm_act, apply", 0, 2 * y + residual * y)
    if cin != 8:
        count("conv2d, gradient of the input", flop, x + y + w)
    count("conv2d, gradient of the weight, and its cast", flop, x + y + w + 3 * w)
    count("batch_norm_act backward, sums", 0, 2 * y + residual * y)
    count("batch_norm_act backward, apply", 0, 3 * y + residual * 2 * y)

stem, pooled, cells = B * (a.size // 2) ** 2 * 64, B * (a.size // 4) ** 2 * 64, B * (a.size // 32) ** 2
for _ in "qk":
    count("max_pool2d", 0, stem * 2 + pooled * 3)
    count("views: float32 to 8 channels of bfloat16", 0, B * a.size**2 * (3 * 4 + 8 * 2))
    head = 2 * cells * (CHANNELS * HIDDEN + HIDDEN * DIM)
    traffic = cells * 2 * (CHANNELS + 2 * HIDDEN + DIM)
    count("dense head, forward", head, traffic, 2)
count("dense head, backward", 2 * head, 2 * traffic, 4)
count("max_pool2d backward", 0, stem * 2 + pooled * 3)
count("nearest_rows", 2 * cells * cells / B * CHANNELS, 2 * cells * CHANNELS * 2)
for name, rows in (("dense", cells), ("global", B)):
    count(f"info_nce, {name}", 3 * 2 * rows * a.queue * DIM, 2 * a.queue * DIM * 2 + rows * DIM * 12)
count("bfloat16 copies of weights, both encoders", 0, 2 * PARAMETERS * 6)
count("sgd_update", 0, PARAMETERS * 20)
count("ema_update", 0, PARAMETERS * 12)

print("| kernels | calls | GFLOP | GB | floor, ms |\n|---|---|---|---|---|")
for kernel, (calls, flop, size, seconds) in table.items():
    print(f"| {kernel} | {calls} | {flop / 1e9:,.0f} | {size / 1e9:.2f} | {seconds * 1e3:.2f} |")
calls, flop, size, seconds = (sum(row[i] for row in table.values()) for i in range(4))
print(f"| all | {calls} | {flop / 1e9:,.0f} | {size / 1e9:.1f} | {seconds * 1e3:.1f} |")
print(f"\nat most {B / seconds:,.0f} pairs/s")
