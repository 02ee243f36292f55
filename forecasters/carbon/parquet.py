"""pyarrow, loaded when a file is first read or written: it takes as long as a whole command."""

from functools import cache
from typing import Any

from carbonq.domain.errors import CarbonqError


@cache
def pyarrow() -> Any:
    """The module with `parquet` and `compute` loaded. Raises CarbonqError where it is not installed."""
    try:
        import pyarrow as pa
        import pyarrow.compute
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise CarbonqError(
            "Parquet files need the package pyarrow", where=str(error), hint="pip install carbonq[forecast]"
        ) from error
    return pa
