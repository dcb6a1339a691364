"""Rows from Parquet and Arrow files, and Parquet back. pyarrow is imported here, on first use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from alpaca_core.csvfiles import cell
from alpaca_core.errors import ConfigError, MissingError

_BATCH = 4_096  # rows in memory at a time
_BUFFER = 2**20  # bytes of a column that are read at a time

Rows = Callable[[], Iterable[Mapping[str, Any]]]


def require(path: Path) -> None:
    """Raise MissingError, with the pip line that helps, when pyarrow is not installed."""
    try:
        import pyarrow  # noqa: F401
    except ImportError as exc:
        raise MissingError(
            f"{path} needs the package 'pyarrow', which is not installed.",
            hint="Install it with: pip install 'alpacakit[parquet]'",
        ) from exc


def records(path: Path, check: Callable[[Sequence[str]], None]) -> Iterator[tuple[str, Any]]:
    """Each row as a dict, with its place: ``row 3``. One that cannot be read comes as the ValueError that says so.

    ``check`` is called with the columns before the first row. Raises ConfigError when the file is not what its name
    says or breaks off.
    """
    require(path)
    import pyarrow

    number = 0
    try:
        for batch in _parquet(path, check) if path.suffix == ".parquet" else _arrow(path, check):
            for start in range(0, batch.num_rows, _BATCH):
                for row in _rows(batch.slice(start, _BATCH)):
                    number += 1
                    yield f"row {number}", row
    except (pyarrow.ArrowException, UnicodeDecodeError) as exc:
        kind = "a Parquet" if path.suffix == ".parquet" else "an Arrow"
        raise ConfigError(
            f"{path} cannot be read as {kind} file: {exc}",
            hint="Download it again. Where it came by Git, 'git lfs pull' brings the real file.",
        ) from exc


def write(file: BinaryIO, columns: Sequence[str], rows: Rows) -> None:
    """Write ``rows`` as Parquet, going through them twice at least. A key that a row lacks becomes null.

    A column has the type that all its values share, integers and fractions together being fractions. One whose values
    share none is text: texts as they are, anything else as JSON.
    """
    kinds = _kinds(columns, rows)
    while (misfit := _write(file, kinds, rows)) is not None:
        kinds[misfit] = None
        file.seek(0)
        file.truncate()


def _parquet(path: Path, check: Callable[[Sequence[str]], None]) -> Iterator[Any]:
    from pyarrow import parquet

    # As it comes, pyarrow keeps all that it has read of the file.
    with parquet.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER) as file:
        check(file.schema_arrow.names)
        yield from file.iter_batches(_BATCH)


def _arrow(path: Path, check: Callable[[Sequence[str]], None]) -> Iterator[Any]:
    """Both formats that Arrow has: the stream, in which datasets are saved, and the file with an index at its end."""
    import pyarrow

    def checked(batch: Any) -> Any:
        batch.validate(full=True)  # what is damaged could end the process
        return batch

    with pyarrow.memory_map(str(path)) as source:
        if source.read(6) == b"ARROW1":
            file = pyarrow.ipc.open_file(source)
            check(file.schema.names)
            yield from (checked(file.get_batch(place)) for place in range(file.num_record_batches))
        else:
            source.seek(0)
            stream = pyarrow.ipc.open_stream(source)
            check(stream.schema.names)
            yield from map(checked, stream)


def _rows(batch: Any) -> Iterator[Any]:
    try:
        yield from batch.to_pylist()
    except ValueError:  # some value of it has no Python form: the others have
        for place in range(batch.num_rows):
            try:
                yield batch.slice(place, 1).to_pylist()[0]
            except ValueError as exc:
                yield exc


def _kinds(columns: Sequence[str], rows: Rows) -> dict[str, Any]:
    """The Arrow type of each column; None where its values share none."""
    import pyarrow

    kinds: dict[str, Any] = dict.fromkeys(columns, pyarrow.null())
    for batch in _batches(rows()):
        for name, kind in kinds.items():
            if kind is not None:
                kinds[name] = _joint(kind, [row.get(name) for row in batch])
    return kinds


def _joint(kind: Any, values: list[Any]) -> Any:
    import pyarrow

    try:
        schemas = [pyarrow.schema([("", one)]) for one in (kind, pyarrow.array(values).type)]
        joint = pyarrow.unify_schemas(schemas, promote_options="permissive").field(0).type
    except (pyarrow.ArrowException, ValueError, TypeError, OverflowError):
        return None
    return None if "struct<>" in str(joint) else joint  # which Parquet cannot hold


def _write(file: BinaryIO, kinds: Mapping[str, Any], rows: Rows) -> str | None:
    """Write all, or return the column that has a value which does not fit its type."""
    import pyarrow
    from pyarrow import parquet

    schema = pyarrow.schema([(cell(name), pyarrow.string() if kind is None else kind) for name, kind in kinds.items()])
    with parquet.ParquetWriter(file, schema) as writer:
        for batch in _batches(rows()):
            arrays = []
            for name, kind in kinds.items():
                values = [row.get(name) for row in batch]
                try:
                    arrays.append(
                        pyarrow.array(map(cell, values), pyarrow.string())
                        if kind is None
                        else pyarrow.array(values, kind)
                    )
                except (pyarrow.ArrowException, ValueError, TypeError, OverflowError):
                    if kind is None:
                        raise
                    return name
            writer.write_batch(pyarrow.record_batch(arrays, schema=schema))
    return None


def _batches(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    rows = iter(rows)
    while batch := list(islice(rows, _BATCH)):
        yield batch
