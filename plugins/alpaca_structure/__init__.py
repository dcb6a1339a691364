"""Repairs and checks of a task's form: eleven small filters, and the chain that runs them in the right order."""

from __future__ import annotations

from alpaca_core import FilterSpec, hookimpl

# Repairs come first, so that the checks see the repaired texts.
_FILTERS = {
    "clean": (
        "repairs:Clean",
        "Removes control characters, escaped line ends and HTML entities that stray into a text.",
    ),
    "merged": ("repairs:Merged", "Cuts a text where another numbered task, or an end marker, follows in it."),
    "noinput": ("repairs:NoInput", "Blanks an input that says there is none, or that the instruction holds already."),
    "no-output": ("rejections:NoOutput", "Rejects tasks whose output is empty or says that there is none."),
    "links": ("rejections:Links", "Rejects tasks about the content of a link: a model without network makes it up."),
    "media": ("media:Media", "Rejects tasks that ask for images or sound, or are about some that are not there."),
    "repetition": ("remarks:Repetition", "Flags an output that says the same three times, or is the input again."),
    "truncation": ("remarks:Truncation", "Flags an output that seems to break off."),
    "placeholder": ("remarks:Placeholder", "Flags an output with a gap to fill in, such as [Your Name]."),
    "refusal": ("remarks:Refusal", "Flags an output that declines the task (English)."),
    "live": ("remarks:Live", "Flags instructions that want today's facts or a device's action (English)."),
}


@hookimpl
def alpaca_filters() -> list[FilterSpec]:
    filters = [
        FilterSpec(name=name, target=f"alpaca_structure.{target}", summary=summary)
        for name, (target, summary) in _FILTERS.items()
    ]
    chain = FilterSpec(
        name="structure",
        chain=tuple((name, {}) for name in _FILTERS),
        summary="Repairs and checks of a task's form, none of which knows the right answer.",
    )
    return [*filters, chain]
