"""What commands take: what is asked, where answers go, and what completes both."""

from costcalc.cli.parameters.completion import (
    CHART_KINDS,
    backend_names,
    gpu_names,
    matching_backends,
    model_names,
    one_of,
)
from costcalc.cli.parameters.given import (
    SUBJECT,
    TAKEN,
    TYPED,
    CatalogFolder,
    Given,
    Gpu,
    Model,
    OwnerGiven,
    PayerGiven,
    Sources,
    SweepGiven,
    Taken,
    choice,
    gpu_named,
    is_about,
    model_named,
    subject,
    whole,
)
from costcalc.cli.parameters.output import (
    FORMATS,
    SHOW,
    Brief,
    ChartTheme,
    NewYaml,
    Output,
    Verbose,
    Written,
    WrittenInMoney,
    check_chart,
    drawn_on,
    names_a_file,
    read_currency,
)
from costcalc.cli.parameters.signature import with_options
