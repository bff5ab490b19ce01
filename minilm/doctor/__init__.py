"""What is wrong with a run, and what to try: ranked findings with the numbers behind them."""

from minilm.doctor.evidence import Evidence, evidence_of_folder
from minilm.doctor.examine import CHECKS, diagnose, examine
from minilm.doctor.finding import Finding, Severity

__all__ = [
    "CHECKS",
    "Evidence",
    "Finding",
    "Severity",
    "diagnose",
    "evidence_of_folder",
    "examine",
]
