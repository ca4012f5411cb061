"""Issues that are questions: both sides as they stand now, and the answer, which holds until a side changes again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from contacts.values import DoesNotFit
from crmsync.api.base import ApiView, Choice, Shape, Text, caller, documented, read, without_blanks
from crmsync.api.errors import Refused, invalid
from crmsync.api.v1.issues import BY_ID, IssueShape, find_issue, issue_documents
from crmsync.api.v1.lists import AnyValue
from crmsync.api_keys import Scope
from integrations.providers.errors import ProviderError
from sync import thaw
from sync.decisions import CRM, OURS, CannotDecide, candidates, choose_record, decide_conflict, sides
from sync.models import SyncIssue

# What each kind of question is answered with.
ANSWERS = {"conflict": "winner", "ambiguous": "external_id", "oscillation": "value"}


class SidesShape(serializers.Serializer):
    """A conflict: what each side holds."""

    ours = AnyValue()
    theirs = AnyValue(help_text="As the CRM holds it.")
    incoming = AnyValue(help_text="What the contact would hold of it.")
    problem = serializers.CharField(required=False, help_text="Why the CRM's value cannot be taken.")


class CandidateShape(serializers.Serializer):
    """One of several CRM records that may be the contact's."""

    external_id = serializers.CharField()
    values = serializers.DictField(child=AnyValue(), help_text="CRM field → value.")


class HeldByShape(serializers.Serializer):
    """What one side of a fight holds."""

    name = serializers.CharField(required=False, help_text="The app's; missing: the contact here.")
    value = AnyValue()


class QuestionShape(serializers.Serializer):
    """A question with what is needed to answer it, read from the CRM now."""

    issue = IssueShape()
    answer_with = Choice(list(ANSWERS.values()))
    sides = SidesShape(required=False, help_text="Of a conflict.")
    candidates = CandidateShape(many=True, required=False, help_text="Where several records have the number.")
    held = HeldByShape(many=True, required=False, help_text="Where two CRMs fight over the field.")


class AnswerShape(Shape):
    """The answer: the one key that the question's `answer_with` names."""

    winner = Choice([CRM, OURS], required=False, help_text="Whose value stays.")
    external_id = Text(required=False, max_length=255, help_text="The record that is the contact's.")
    value = AnyValue(required=False, allow_null=True, help_text="What every side shall hold.")


class GetQuestion(ApiView):
    """Both sides of a question."""

    scopes = (Scope.RUN_JOBS,)
    also = (Scope.READ_CONTACTS,)

    @documented("get_question", "issue", answer=QuestionShape, paths=BY_ID)
    def get(self, _request: Request, issue_id: int) -> Response:
        """Read what an issue asks, with what both sides hold now. Refused (400) for issues that ask nothing."""
        issue = _question(issue_id)
        try:
            found = _SHOWN[issue.kind](issue)
        except (CannotDecide, ProviderError) as error:
            raise Refused(_said(error)) from None
        shown = {"issue": issue_documents([issue])[0], "answer_with": ANSWERS[issue.kind]}
        return Response(shown | found)


class AnswerQuestion(ApiView):
    """The answer to a question."""

    scopes = (Scope.RUN_JOBS,)
    also = (Scope.WRITE_CONTACTS,)

    @documented("answer_question", "issue", body=AnswerShape, answer=IssueShape, paths=BY_ID)
    def post(self, request: Request, issue_id: int) -> Response:
        """Answer a question for good; what lost stays in the contact's history, under the key's name."""
        body = read(AnswerShape, request.data)
        issue = _question(issue_id)
        key = ANSWERS[issue.kind]
        if set(body) != {key}:
            raise invalid("", f"Answer this with {key}, and nothing else.", "exactly_one")
        try:
            _ANSWERED[issue.kind](issue, body[key], caller(request).name)
        except (CannotDecide, ProviderError) as error:
            raise Refused(_said(error)) from None
        except DoesNotFit as error:
            raise invalid("value", str(error), error.reason) from None
        return Response(issue_documents([find_issue(issue_id)])[0])


def _question(issue_id: int) -> SyncIssue:
    issue = find_issue(issue_id)
    if issue.kind not in ANSWERS:
        raise Refused("This issue asks nothing: it can be retried or ignored.")
    return issue


def _conflict(issue: SyncIssue) -> dict[str, Any]:
    found = sides(issue)
    values = {"ours": found.ours, "theirs": found.theirs, "incoming": found.incoming}
    return {"sides": values | without_blanks({"problem": found.problem})}


def _records(issue: SyncIssue) -> dict[str, Any]:
    return {
        "candidates": [
            {"external_id": record.external_id, "values": dict(record.values)} for record in candidates(issue)
        ]
    }


def _fight(issue: SyncIssue) -> dict[str, Any]:
    held: Mapping[str, Any] = thaw.values(issue)
    return {"held": [without_blanks({"name": name}) | {"value": value} for name, value in held.items()]}


def _said(error: Exception) -> str:
    return f"The CRM could not be asked: {error.message}" if isinstance(error, ProviderError) else str(error)


_SHOWN = {"conflict": _conflict, "ambiguous": _records, "oscillation": _fight}
_ANSWERED: Mapping[str, Any] = {
    "conflict": decide_conflict,
    "ambiguous": choose_record,
    "oscillation": thaw.decide_oscillation,
}
