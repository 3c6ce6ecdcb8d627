"""A page of metrics as Prometheus reads it."""

from collections.abc import Mapping
from typing import Self

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]


class Page:
    """Samples by name and labels, `families` by name; a family that stands in two pieces is refused."""

    def __init__(self, text: str) -> None:
        self.families: dict[str, Metric] = {}
        self.samples: dict[str, dict[Labels, float]] = {}
        for family in text_string_to_metric_families(text):
            assert family.name not in self.families, f"{family.name} stands in two pieces"
            self.families[family.name] = family
            for sample in family.samples:
                values = self.samples.setdefault(sample.name, {})
                labels = frozenset(sample.labels.items())
                assert labels not in values, sample
                values[labels] = sample.value

    def value(self, name: str, **labels: str) -> float:
        """The one sample that has these labels, whatever others it has."""
        found = [value for has, value in self.samples.get(name, {}).items() if labels.items() <= dict(has).items()]
        assert len(found) == 1, (name, labels, found)
        return found[0]

    def since(self, before: Self, name: str, *labels: str) -> Mapping[tuple[str, ...], float]:
        """What was counted between the two pages, by the values of the labels."""
        found: dict[tuple[str, ...], float] = {}
        for has, value in self.samples.get(name, {}).items():
            more = value - before.samples.get(name, {}).get(has, 0.0)
            if more:
                key = tuple(dict(has).get(label, "") for label in labels)
                found[key] = found.get(key, 0.0) + more
        return found
