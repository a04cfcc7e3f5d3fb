"""Inject faults on purpose, then account for every text: `dadacat chaos --minutes N --seed S`."""
