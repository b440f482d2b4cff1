#!/usr/bin/env python3
"""The features of a torchvision ResNet in OpenVINO: what `bench_step --method forward` is raced against.

    pip install torch torchvision openvino
    python3 openvino_forward.py --arch resnet50 --size 224 --batch 16 --precision fp32 --threads 2

Prints one line of JSON: pictures/s (median of the timed steps) and peak memory of the process in MiB, what the
conversion needed included. The model is compiled for the latency of one request on all threads; random pictures
stay in memory and are not copied.
"""
import argparse, json, resource, time, warnings
import openvino, torch, torchvision

p = argparse.ArgumentParser()
p.add_argument("--arch", default="resnet50")
p.add_argument("--size", type=int, default=224)
p.add_argument("--batch", type=int, default=16)
p.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
p.add_argument("--threads", type=int, default=2)
p.add_argument("--steps", type=int, default=6)
p.add_argument("--warmup", type=int, default=2)
a = p.parse_args()

warnings.filterwarnings("ignore", category=FutureWarning)  # torch.jit.trace, through which models are converted
torch.manual_seed(0)
net = getattr(torchvision.models, a.arch)().eval()
backbone = torch.nn.Sequential(*list(net.children())[:-2])
pictures = torch.randn(a.batch, 3, a.size, a.size)
model = openvino.convert_model(backbone, example_input=pictures, input=list(pictures.shape))
config = {"INFERENCE_NUM_THREADS": a.threads, "PERFORMANCE_HINT": "LATENCY",
          "INFERENCE_PRECISION_HINT": a.precision.replace("fp32", "f32")}
request = openvino.Core().compile_model(model, "CPU", config).create_infer_request()
pictures = pictures.numpy()

times = []
for _ in range(a.warmup + a.steps):
    t = time.perf_counter()
    request.infer(pictures, share_inputs=True, share_outputs=True)
    times.append(time.perf_counter() - t)
times = sorted(times[a.warmup :])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps(dict(openvino=openvino.__version__, method="forward", device="cpu",
                      **{n: getattr(a, n) for n in ("arch", "size", "batch", "precision", "threads")},
                      pairs_per_s=round(a.batch / times[len(times) // 2], 3), peak_MiB=round(peak))))
