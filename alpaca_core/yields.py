"""How many rows are kept of a reply, and how many will be of those to come."""

from __future__ import annotations

from math import log, sqrt

FLOOR = 1 / 4  # of the mean yield so far: it is not taken to fall lower


class Yield:
    """The rows kept of each reply so far, as a straight line over the rows that were kept before it.

    The more rows are kept, the more new ones resemble one of them, so the line falls, and it is taken to go on as it
    did (least squares). Nothing but sums is held, however many replies there are.
    """

    def __init__(self) -> None:
        self.replies = self.rows = 0
        self._before = self._before2 = self._rows2 = self._product = 0  # sums, and those of squares and products

    def add(self, rows: int) -> None:
        """``rows`` were kept of the next reply."""
        self._before += self.rows
        self._before2 += self.rows**2
        self._rows2 += rows**2
        self._product += self.rows * rows
        self.replies += 1
        self.rows += rows

    @property
    def mean(self) -> float:
        """Rows kept of a reply, so far."""
        return self.rows / self.replies if self.replies else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Where the mean lies: two standard errors to both sides."""
        if not self.replies:
            return 0.0, 0.0
        error = sqrt(max(0.0, self._rows2 / self.replies - self.mean**2) / self.replies)
        return max(0.0, self.mean - 2 * error), self.mean + 2 * error

    def ahead(self, missing: float, doubt: float = 0.0) -> float:
        """Rows kept of a reply, in the mean over the next ``missing`` rows; 0 where nothing was kept so far.

        ``doubt`` is how much worse than likely it is to be, in standard errors.
        """
        if not self.rows:
            return 0.0
        n, mean = self.replies, self.mean
        middle = self._before / n
        spread = self._before2 - n * middle**2
        product = self._product - n * middle * mean
        fall = -product / spread if spread > 0 else 0.0
        rest = max(0.0, self._rows2 - n * mean**2 + fall * product) / max(1, n - 2)
        unsure = sqrt(rest / spread) if spread > 0 else 0.0
        if doubt:
            fall += doubt * unsure
        elif fall:
            fall *= fall**2 / (fall**2 + unsure**2)  # the less sure it is, the less of it is believed
        fall = max(0.0, fall)
        level = mean - doubt * sqrt(rest / n + rest * mean / max(missing, mean))
        now = max(level - fall * (self.rows - middle), FLOOR * mean)
        end = max(now - fall * missing, FLOOR * mean)
        if now - end < 1e-6 * now:
            return now
        return (now - end) / log(now / end)  # the mean along a falling line, weighted by the replies spent there
