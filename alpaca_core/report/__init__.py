"""The report: one HTML page of a run or a dataset, with its figures. ``page.write_report`` makes it."""
