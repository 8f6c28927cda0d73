"""How a model is spread over GPUs: degrees of parallelism, replicas, and which layouts are possible."""

from __future__ import annotations

from math import gcd

from costcalc.engine.precision import Formats
from costcalc.engine.roofline import reach
from costcalc.errors import CostcalcError
from costcalc.fields import Number, Record, total
from costcalc.formats import cache_format
from costcalc.hardware.accelerator import Accelerator
from costcalc.model.attention.gqa import GroupedAttention
from costcalc.model.attention.mla import LatentAttention
from costcalc.model.spec import ModelSpec
from costcalc.units import counted


class Parallelism(Record):
    """One replica: `tp` x `attention_dp` GPUs in each of `pp` stages; experts spread over a stage.

    tp t: divides matrices and heads. attention_dp g: attention data parallel, sequences are divided and
    attention weights repeated. ep e: whole experts on e groups of the stage's t·g GPUs, each expert
    cut over the (t·g)/e GPUs of its group. pp p: layers are divided. cp c: tensor ranks that hold copies of a KV head
    or a latent, which share its tokens instead (vLLM's decode context parallelism).
    """

    tp: Number = 1
    attention_dp: Number = 1
    ep: Number = 1
    pp: Number = 1
    cp: Number = 1

    @property
    def cache_ranks(self) -> Number:
        """Tensor ranks that a cache's heads are divided over, t/c; their tokens are over the c ranks of each."""
        return self.tp / self.cp

    @property
    def stage(self) -> Number:
        """GPUs of one pipeline stage, t·g."""
        return self.tp * self.attention_dp

    @property
    def gpus(self) -> Number:
        """GPUs of the replica, t·g·p."""
        return self.stage * self.pp


# Which layouts suit a model on so many GPUs, and whether one that was asked for is possible.


class Degrees(Record):
    """Degrees of parallelism as asked for; None leaves the choice open."""

    gpus: int | None = None
    tp: int | None = None
    pp: int | None = None
    ep: int | None = None
    attention_dp: int | None = None

    @property
    def layout_given(self) -> bool:
        """Whether any degree was asked for."""
        return any(x is not None for x in (self.tp, self.pp, self.ep, self.attention_dp))


class Deployment(Record):
    """A layout, how many replicas of it run side by side, and GPUs that are left over and paid for."""

    layout: Parallelism
    replicas: int = 1
    idle: int = 0

    @property
    def gpus(self) -> int:
        """GPUs of all replicas, and those left over."""
        return int(self.layout.gpus) * self.replicas + self.idle


class DoesNotFit(CostcalcError):
    """The weights or the sequences asked for exceed the memory of the GPUs asked for."""

    def __init__(self, message: str, hint: str, tried: Deployment, needs: int | None) -> None:
        super().__init__(message, hint=hint)
        self.tried = tried
        self.needs = needs  # GPUs that would fit it, None where no number does


def node_counts(gpu: Accelerator, most: int = 4096) -> list[int]:
    """GPU counts to try, smallest first: powers of two inside a node, then whole nodes."""
    node = max(gpu.node_size, gpu.domain)
    counts = [n for n in (1, 2, 4, 8, 16, 32, 64) if n < node] + [node]
    nodes = 2
    while counts[-1] < most:
        counts.append(node * nodes)
        nodes += 1 if nodes < 8 else nodes // 4
    limit = reach(gpu)
    return [n for n in counts if n <= limit]


def shares_latent(model: ModelSpec) -> bool:
    """Whether the cache is one that tensor parallelism copies to every rank instead of dividing it."""
    cache = cache_format("bf16")
    whole = total(float(n * layer.growth_bytes(cache, 1)) for n, layer in model.attention_layers())
    halved = total(float(n * layer.growth_bytes(cache, 2)) for n, layer in model.attention_layers())
    return whole > 0 and halved > 0.9 * whole


VOCABULARY_MULTIPLE = 64
"""Rows that engines pad the vocabulary to a multiple of before they cut it (vLLM, SGLang)."""


def divides_heads(model: ModelSpec, tensor: int) -> bool:
    """Whether `tensor` divides the heads of every attention layer."""
    return all(layer.shard_unit % tensor == 0 for _, layer in model.attention_layers())


def splits(model: ModelSpec, tensor: int) -> bool:
    """Whether engines cut the matrices outside of routed experts over `tensor` ranks."""
    return divides_heads(model, tensor) and _refused(model, tensor) is None


def splits_experts(model: ModelSpec, cut: int, formats: Formats | None = None) -> bool:
    """Whether engines cut every expert over `cut` GPUs: its own width, in whole blocks of its format, divides."""
    block = 1 if formats is None else formats.experts.block
    return all(each.inner % (cut * block) == 0 for each in model.routed) if cut > 1 else True


def cuts(model: ModelSpec, layout: Parallelism, formats: Formats) -> bool:
    """Whether engines cut matrices and experts as `layout` says, in whole blocks of their formats."""
    return _refused(model, int(layout.tp), formats) is None and splits_experts(
        model, int(layout.stage) // int(layout.ep), formats
    )


def _refused(model: ModelSpec, tensor: int, formats: Formats | None = None) -> str | None:
    """Why engines refuse to cut a model whose heads divide over `tensor` ranks; None where they do not."""
    for _, layer in model.attention_layers():
        if layer.kv_heads > 1 and layer.kv_heads % tensor and tensor % layer.kv_heads:
            return f"neither divides the {layer.kv_heads} KV heads of {model.name} nor is a multiple of them"
    rows = -(-model.vocab_size // VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE
    if rows % tensor:
        return f"does not divide the vocabulary of {model.name}, {rows:,} with padding"
    block = 1 if formats is None or tensor == 1 else formats.ffn.weights.block
    for _, feedforward in model.feedforward_layers():
        width = feedforward.cut_width
        if width % (tensor * block):
            units = f"{width:,} units" if block == 1 else f"{width:,} units in blocks of {block}"
            return f"does not divide the feed-forward of {model.name}, {units}"
    return None


def expert_degree(model: ModelSpec, gpus: int) -> int:
    """The largest expert-parallel degree on `gpus`: a divisor of them, no more than there are experts, 1 without any.

    Where it does not divide the experts, every rank holds as many as the fullest: spare slots take
    redundant copies, as DeepSeek-V3 deploys them.
    """
    fewest = min((routed.experts for routed in model.routed), default=1)
    return max(e for e in range(1, min(gpus, fewest) + 1) if gpus % e == 0)


def given_deployment(model: ModelSpec, gpu: Accelerator, asked: Degrees, formats: Formats | None = None) -> Deployment:
    """The layout asked for, with what was left open filled in; raises CostcalcError where it is impossible.

    formats: of the deployment, whose blocks engines do not cut; None asks about widths alone.
    """
    tensor, pipeline = asked.tp or 1, asked.pp or 1
    _check_tensor(model, tensor, asked.gpus, formats)
    data = asked.attention_dp
    replicas = 1
    if asked.gpus is not None:
        used = tensor * pipeline * (data or 1)
        if asked.gpus % used:
            raise CostcalcError(
                f"--gpus {asked.gpus} is not a multiple of tp × pp × dp = {used}", hint="change one of them"
            )
        rest = asked.gpus // used
        if data is None and model.has_experts and (shares_latent(model) or asked.ep):
            data = rest
        else:
            replicas = rest
    elif data is None and asked.ep and model.has_experts:
        data = asked.ep // gcd(asked.ep, tensor)  # experts on as many GPUs as groups were asked for
    stage = tensor * (data or 1)
    expert = asked.ep or (expert_degree(model, stage) if (data or 1) > 1 else 1)
    layout = Parallelism(tensor, data or 1, expert, pipeline)
    _check_layout(model, gpu, layout, formats)
    return Deployment(layout, replicas)


def shares_context(model: ModelSpec, tensor: int, degree: int) -> bool:
    """Whether `degree` of `tensor` ranks hold copies of every cache, whose tokens they may share instead.

    Of plain and grouped attention and of absorbed MLA: engines split no windows, states or indexes.
    """
    if degree == 1:
        return True
    return all(
        type(layer) in (GroupedAttention, LatentAttention)
        and getattr(layer, "mode", "absorbed") == "absorbed"
        and tensor % (layer.kv_heads * degree) == 0
        for _, layer in model.attention_layers()
    )


def layout_name(deployment: Deployment) -> str:
    """A layout in short, such as 'tp8', 'dp16 ep16' or '4 × tp2': degrees above 1, and replicas."""
    layout = deployment.layout
    degrees = {"tp": layout.tp, "pp": layout.pp, "dp": layout.attention_dp, "ep": layout.ep, "cp": layout.cp}
    text = " ".join(f"{name}{int(n)}" for name, n in degrees.items() if int(n) > 1) or "tp1"
    return f"{deployment.replicas} × {text}" if deployment.replicas > 1 else text


def _check_tensor(model: ModelSpec, tensor: int, gpus: int | None, formats: Formats | None) -> None:
    reason = _refused(model, tensor, formats)
    heads = min(layer.shard_unit for _, layer in model.attention_layers())
    if not divides_heads(model, tensor):
        reason = f"does not divide the {heads} attention heads of {model.name}"
    if reason is None:
        return
    possible = (n for n in range(1, heads + 1) if divides_heads(model, n) and _refused(model, n, formats) is None)
    fitting = [n for n in possible if (gpus or n) % n == 0] or [1]
    nearest = min(fitting, key=lambda n: (abs(n - tensor), -n))
    raise CostcalcError(f"--tp {tensor} {reason}", hint=f"the nearest that does is {nearest}")


def _check_layout(model: ModelSpec, gpu: Accelerator, layout: Parallelism, formats: Formats | None) -> None:
    e, p, stage = int(layout.ep), int(layout.pp), int(layout.stage)
    if p > model.num_layers:
        raise CostcalcError(f"--pp {p} exceeds the {model.num_layers} layers of {model.name}", hint="use fewer stages")
    if e > 1 and not model.has_experts:
        raise CostcalcError(f"--ep {e}: {model.name} has no experts", hint="leave --ep out")
    if e > 1 and expert_degree(model, e) != e:
        raise CostcalcError(
            f"--ep {e} exceeds the experts of {model.name}", hint=f"use at most {expert_degree(model, e)}"
        )
    if stage % e:
        nearest = min((n for n in range(1, stage + 1) if stage % n == 0), key=lambda n: (abs(n - e), -n))
        raise CostcalcError(
            f"--ep {e} does not divide the {counted(stage, 'GPU')} of a stage (tp × dp)",
            hint=f"use {nearest}, or set --gpus or --dp so that tp × dp is a multiple of {e}",
        )
    if not splits_experts(model, stage // e, formats):
        width = min(each.inner for each in model.routed)
        raise CostcalcError(
            f"{stage // e} GPUs cannot cut an expert of {model.name}, {width:,} units wide",
            hint=f"spread whole experts over the GPUs: --ep {expert_degree(model, stage)}",
        )
    if layout.gpus > reach(gpu):
        raise CostcalcError(
            f"{gpu.name} has no known link that joins {int(layout.gpus)} GPUs",
            hint=f"use at most {int(reach(gpu))}, or --set gpu.scale_out.bandwidth=...",
        )


class Cheaper(Record):
    """More GPUs, on which the same request is notably cheaper."""

    deployment: Deployment
    cost_ratio: float  # of a request's GPU time to that of the plan


class Chosen(Record):
    """A deployment that answers the question."""

    deployment: Deployment
    batch: int | float  # sequences of one replica; no whole number where a load is told and they are a mean
    keeps_limits: bool = True
    gpus_chosen: bool = False
    layout_chosen: bool = False
    batch_chosen: bool = False
    weighed: int = 1  # layouts that fit, of which this one was chosen
    cheaper: Cheaper | None = None
