"""The layout search: which layouts there are, each at its best batch, which is chosen, and why nothing fits."""

from costcalc.explore.search.batches import (
    TIE,
    LayoutSearch,
    along_cells,
    batches_to_try,
    excess_of_limits,
    held_by,
    search_layouts,
    seconds_per_request,
)
from costcalc.explore.search.choose import (
    NOWHERE,
    best_batch_each,
    choose_deployment,
    choose_each,
    fewest,
    needed,
)
from costcalc.explore.search.layouts import (
    candidate_layouts,
    customary_layout,
    deployments_asked_for,
    deployments_on,
    layouts_on,
    options_of,
    refused_degree,
    single_replicas,
    spreads_layers,
    stacked,
    why_refused,
)
from costcalc.explore.search.misfits import check_prefill_workers, does_not_fit
