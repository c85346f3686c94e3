"""The proof that a history's books are right.

The entries of an account say in which order its calls came. Told in that order, the model must
write the same entries. Then every report must be what the model answered there, and every refusal
what it would have answered at some moment between the call's beginning and its end.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any
from uuid import UUID

from tests.credits.clients import Call, Report
from tests.credits.histories import Witness
from tests.credits.model import Answer, Entry, Ledger, Refusal, Verb
from tests.credits.plans import Plan
from tests.credits.script import Written, books_of


class Proof:
    """One history's books, told again. Raises AssertionError where they are wrong.

    ``books`` is what ``script.BOOKS`` says of the people.
    """

    def __init__(self, plan: Plan, witness: Witness, written: Written, books: Any) -> None:
        self.seen: Counter[str] = Counter()
        self._plan = plan
        self._made: dict[int, list[Answer]] = {}  # the calls in the books, and their answers
        self._moments: dict[UUID, dict[int, Ledger]] = {}  # an account by its number of entries
        entries, broken_links = written
        assert broken_links == []
        last = Ledger()
        for user in plan.people:
            ledger = self._retell(user, entries.get(user, []))
            last.accounts |= ledger.accounts
            last.holds |= ledger.holds
        assert books == books_of(last)
        self._check_holds(last)
        for call in plan.calls:
            reports = [report for report in witness.reports if report.number == call.number]
            self._check_reports(call, reports, call.number in witness.cut_short)

    def _retell(self, user: UUID, written: list[Entry]) -> Ledger:
        """Find the one call that wrote each entry; entries of a call stand side by side."""
        ledger = Ledger()
        moments = self._moments[user] = {0: ledger}
        told = 0
        while told < len(written):
            for call in (call for call in self._plan.calls if call.verbs[0].user == user):
                after = ledger.copy()
                answers = _answers(after, call)
                new = after.account(user).entries[told:]
                if new and new == written[told : told + len(new)]:
                    break
            else:
                raise AssertionError(f"nobody made this movement: {written[told]}")
            assert not isinstance(answers, Refusal)
            self._made[call.number] = answers
            ledger, told = after, told + len(new)
            moments[told] = ledger
        return ledger

    def _check_holds(self, last: Ledger) -> None:
        """What is still on hold belongs to tasks that are to last."""
        made = {verb.key for number in self._made for verb in self._plan.calls[number].verbs}
        still_open = {key for key, hold in last.holds.items() if hold.state == "open"}
        assert still_open == self._plan.lasting & made

    def _check_reports(self, call: Call, reports: list[Report], cut_short: bool) -> None:
        """Everybody who asked was told the truth, and one at most that the movement is new."""
        assert reports, f"nobody knows what came of {call}"
        made = self._made.get(call.number)
        news = 0
        for report in reports:
            if isinstance(report.answers, Refusal):
                self._check_refusal(call, report)
                continue
            for number, answer in enumerate(report.answers):
                if answer is None:
                    self._check_lateness(call.verbs[number], report)
                    continue
                assert made, f"reported, and not in the books: {call}"
                assert replace(answer, replayed=False) == made[number]
                self.seen["was told again"] += answer.replayed
            news += any(answer and not answer.replayed for answer in report.answers)
        assert news <= 1, f"made more than once: {call}"
        if made and not news:
            assert cut_short, f"made, and nobody was told: {call}"
            self.seen["was made and not reported"] += 1
        elif made and cut_short:
            self.seen["was made all the same"] += 1
        self.seen["was made" if made else "was never made"] += 1

    def _check_refusal(self, call: Call, report: Report) -> None:
        """The account was such that the call had to be refused, while it was being made."""
        last = report.entry_no_after
        assert last is not None
        assert any(
            _answers(ledger.copy(), call) == report.answers
            for number, ledger in self._moments[call.verbs[0].user].items()
            if report.entry_no_before <= number <= last
        ), f"refused without a reason: {call}, {report}"
        self.seen[f"was refused: {report.answers}"] += 1

    def _check_lateness(self, verb: Verb, report: Report) -> None:
        """The hold had been resolved when the call was reported."""
        assert report.entry_no_after is not None
        ledger = self._moments[verb.user][report.entry_no_after]
        assert ledger.holds[verb.key].state != "open"
        self.seen["came too late"] += 1


def _answers(ledger: Ledger, call: Call) -> list[Answer] | Refusal:
    """Make a call: what its verbs answer, or the first refusal, which undoes the others."""
    answers: list[Answer] = []
    for verb in call.verbs:
        answer = ledger.act(verb)
        if isinstance(answer, Refusal):
            return answer
        answers.append(answer)
    return answers
