"""Past readings of carbon intensity, kept on this machine with their revisions, and what makes a history of them."""

from carbonq.forecasters.carbon.archive.readings import Added, Archive, Compacted, Revision, SeriesKey
from carbonq.forecasters.carbon.archive.spans import Span

__all__ = ["Added", "Archive", "Compacted", "Revision", "SeriesKey", "Span"]
