"""What catalog.md says before its tables: which price is meant, and how to add entries."""

GUIDE = """\
## What `--price` means

| typed | price per GPU-hour |
| :-- | :-- |
| `2.00`, `$2/h` | the number itself |
| nothing, `default` | the profile's own; else that of its first kind: on-demand, reserved, marketplace, owned |
| `on-demand`, `spot`, `reserved`, `marketplace`, `owned` | the median of what providers ask for that |
| `median`, `market median` | as `on-demand` |
| `lambda`, `aws` ... | what that provider asks on demand, or for the one other kind that it lists; never spot |
| `'verda spot'`, `'lambda reserved'` | what that provider asks for that |

The median counts each provider once, by its lowest price of that kind, among prices of the newest year. On demand,
AWS, Azure and GCP, and studies that report prices of others, count only where no other cloud lists one. What a study
derived from other prices never counts. Of a provider's several prices the newest counts, then the lowest. Only the
H100 and the H800 name a default of their own, $2.00: that of the article and of the report that this project checks
itself against.

`compare gpus` charges all GPUs prices of the most comparable kind that all of them have, on-demand first, and says
which; `--price default` takes each at its default instead. An answer names the kind, the provider, the date and the
source of the price that it took.

## Entries of your own

A model or an accelerator is one YAML file. `costcalc models new -o my.yaml` and `costcalc gpus new -o my.yaml` write
a commented one to start from, `costcalc models import` makes one of a Hugging Face configuration
([import.md](import.md)), and `costcalc models check my.yaml` tells every mistake with its line. Use it by its path
(`--model ./my.yaml`), or put it into `models/` or `hardware_profiles/` of a catalog folder and use it by its name.
Folders are searched in this order:

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
taken only by a file of the same name. One value for one run is set with `--set gpu.memory_bandwidth=3.3TB/s`.

To add an entry to costcalc itself, put its file into `models/` or `hardware_profiles/` of the checkout, with a source,
a date and a provenance (`seen`, `recalled` or `derived`) for every fact, and run `costcalc models check`,
`python docs/generate.py` and the tests.
"""
