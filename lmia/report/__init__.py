"""Sentences and files for people and programs: `AuditReport` and its writers."""

from lmia.report.model import AttackResult, AuditReport

__all__ = ["AttackResult", "AuditReport"]
