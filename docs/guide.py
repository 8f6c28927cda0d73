"""What catalog.md says before its tables: which price is meant, and how to add entries."""

GUIDE = """\
## What `--price` means

| typed | price per GPU-hour |
| :-- | :-- |
| `2.00`, `$2/h` | the number itself |
| nothing, `default` | the profile's own; else that of its first kind: on-demand, reserved, marketplace, owned |
| `on-demand`, `spot`, `reserved`, `marketplace`, `owned` | the median of what providers ask for that |
| `median`, `market median` | as `on-demand` |
| `article` | an H100's $2.00 of January 2025 |
| `lambda`, `aws` ... | what that provider asks on demand, or for the one other kind that it lists; never spot |
| `'verda spot'`, `'lambda reserved'` | what that provider asks for that |

`owned` is what owning costs by [these terms](method.md#9-dollars--costcalcenginecostpy) where the profile knows what
the accelerator costs to buy, or `--owned capital=25k` says so: `costcalc gpus own h100` shows each part, every term and
its source, and `--owned years=4,rate=8% --pue 1.25 --power-price 0.08` changes them. Elsewhere it is the median of what
studies publish, which stands beside it otherwise.

The median counts each provider once, by its lowest price of that kind, among prices of the newest year. On demand,
AWS, Azure and GCP, and studies that report prices of others, count only where no other cloud lists one. What a study
derived from other prices never counts. Of a provider's several prices the newest counts, then the lowest. Every
command charges an accelerator the same default. The H100's $2.00 of the article that this project checks itself
against is `--price article`.

An answer names the kind, the provider, the date and the source of the price that it took, and how old it is where that
is more than six months beside the newest of the catalog. Where prices of several providers make the figure, it says
what the lowest and the highest would make of the dollars, in JSON as `deployment.price_range` and
`cost.usd_per_million_output_tokens_price_range`: [low, high], apart from the range of times. Comparisons and frontiers
warn where the defaults of their GPUs differ in kind or year, and name the kind that all of them have.

## Entries of your own

A model or an accelerator is one YAML file. `costcalc models new -o my.yaml` (`--attention kda` and the like) and
`costcalc gpus new -o my.yaml` write a commented one to start from, `costcalc models import` makes one of a Hugging Face
configuration ([import.md](import.md)), and `costcalc models check my.yaml` tells every mistake with its line. Use it by
its path (`--model ./my.yaml`), or put it into `models/` or `hardware_profiles/` of a catalog folder and use it by its
name. Folders are searched in this order:

1. the one of `--catalog DIR`,
2. those of the environment variable `COSTCALC_CATALOG`, separated as in `PATH`,
3. the configuration folder: `~/.config/costcalc` (or `$XDG_CONFIG_HOME/costcalc`),
   `~/Library/Application Support/costcalc` on macOS, `%APPDATA%\\costcalc` on Windows,
4. what costcalc ships.

A file takes the place of one with the same name behind it, and of its aliases. Where it answers to a name that
costcalc ships, estimates say so; lists mark entries of your own with `*`.

A file that says `extends: NAME` takes all that it leaves out from that entry, such as a price of your own:

```yaml
# hardware_profiles/h100-sxm.yaml
extends: h100-sxm
price:
  usd_per_gpu_hour: 1.85
  kind: reserved
  source: our contract
  date: "2026-10"
```

or a model that is served otherwise:

```yaml
# models/v3-fp4.yaml
extends: deepseek-v3
precision: {experts: nvfp4}
```

Groups are joined key by key, values and lists replaced, `prices` and `api_prices` put before those of the entry. So are
`sources` of an accelerator: those of the entry stay for what is left as it was, and what is changed needs one of its
own. Whatever has a `source` of its own, such as a price, is replaced as a whole. Name, aliases and Hugging Face id are
taken only by a file of the same name. Prices of others
stay with the GPU that they are asked for: an entry of another name that has its own, or another memory, bandwidth or
peak, takes none of them. One value for one run is set with `--set gpu.memory_bandwidth=3.3TB/s`.

To add an entry to costcalc itself, put its file into `models/` or `hardware_profiles/` of the checkout, with a source,
a date and a provenance (`seen`, `recalled` or `derived`) for every fact, and run `costcalc models check`,
`python docs/generate.py` and the tests.
"""
