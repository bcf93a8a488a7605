"""history.csv: the finished runs."""

from permafrost import layout
from permafrost.outcome import STATUSES
from permafrost.report.columns import Integer, Number, Table, Text

HISTORY = Table(
    f"reports/{layout.HISTORY}",
    "a row for each finished run that made summary.csv anew, the oldest first; a failed gate finishes a run as well",
    (
        Text("date", "when summary.csv was written, in UTC"),
        Number("seconds", "from the beginning of the run until then; empty where nobody knows"),
        Text("version", "of Permafrost, with the commit where it is a clone"),
        Integer("models", "how many models there were"),
        *(Integer(status, f"how many of them were {status}") for status in STATUSES),
        Integer("not_as_expected", "how many were not as expected"),
    ),
)
