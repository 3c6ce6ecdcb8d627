"""Metrics of questions: how many were answered or refused, and how long they took."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from shared.language.reasons import QuestionError
from shared.messaging.endpoint import Reply
from shared.process import metrics
from shared.process.histograms import DURATIONS, OTHER, Histogram


class QueryMetrics:
    """Counts answers by question, outcome and reason; unknown names count as one."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)
        # A series that exists from the start has a true rate at its first event, too.
        self._answered: Counter[tuple[str, str, str | None]] = Counter(
            {(name, *kind): 0 for name in names for kind in (("answered", None), ("refused", QuestionError.BUSY))}
        )
        self._durations: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(DURATIONS))

    def label_of(self, name: str) -> str:
        return name if name in self._names else OTHER

    def count_not_admitted(self, name: str) -> None:
        self._answered[self.label_of(name), "refused", QuestionError.BUSY] += 1

    def observe(self, name: str, reply: Reply) -> None:
        label = self.label_of(name)
        outcome, reason = ("refused", reply.error[1]) if reply.error else ("answered", None)
        self._answered[label, outcome, reason] += 1
        self._durations[label].observe((time.perf_counter_ns() - reply.request.began,))

    def collect(self, in_progress: int) -> Sequence[metrics.Metric]:
        return [
            metrics.counter(
                "switchboard_questions_total",
                "Questions answered or refused.",
                ("question", "outcome", "reason"),
                self._answered,
            ),
            metrics.histogram(
                "switchboard_question_duration_seconds",
                "From a question's arrival to its reply.",
                self._durations,
                "question",
            ),
            metrics.gauge(
                "switchboard_questions_under_way",
                "Questions that wait or are being answered, large ones counting for several.",
                in_progress,
            ),
        ]
