"""The two files in which a stage that judges says what it found: its record, and the table of outputs and trials."""

from collections.abc import Callable

from permafrost import records
from permafrost.outcome import UNVERIFIABLE
from permafrost.report.tables.verification import VERIFICATION


def write(stage: str, model: str, record: str, table: str, judge: Callable[[dict], dict], attempt: str = "") -> None:
    """Judges a model, and writes what was found.

    Args:
      record, table: the paths of the JSON and the CSV file.
      attempt: the token of this attempt, as records.write_record has it.
      judge: adds facts to the dict that it gets, with the table's `rows` among them, and returns how it ended. What it
        raises is dealt with as records.write_record says; the model is unverifiable then.
    Raises OSError where a file cannot be written.
    """
    rows: list[dict] = []

    def work(facts: dict) -> dict:
        outcome = judge(facts)
        rows.extend(facts.pop("rows", []))
        return outcome

    records.write_record(stage, model, record, work, attempt, failed=UNVERIFIABLE)
    VERIFICATION.write(table, rows)
