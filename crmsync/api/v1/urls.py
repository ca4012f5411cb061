"""Our own calls and their addresses."""

from django.urls import URLPattern, URLResolver, path

from crmsync.api import backfills
from crmsync.api.v1 import calling, conversations, reviews

urlpatterns: list[URLPattern | URLResolver] = [
    path("conversations/", conversations.Conversations.as_view()),
    path("conversations/<str:conversation_id>/", conversations.GetConversation.as_view()),
    path("conversations/<str:conversation_id>/attach/", conversations.AttachConversation.as_view()),
    path("dynamic-variables/", calling.DynamicVariables.as_view()),
    path("may-call/", calling.MayCall.as_view()),
    path("merge-reviews/", reviews.ListReviews.as_view()),
    path("merge-reviews/<int:review_id>/accept/", reviews.AcceptReview.as_view()),
    path("merge-reviews/<int:review_id>/edit/", reviews.EditReview.as_view()),
    path("merge-reviews/<int:review_id>/reject/", reviews.RejectReview.as_view()),
    path("backfills/", backfills.Backfills.as_view()),
    path("backfills/<int:backfill_id>/", backfills.GetBackfill.as_view()),
    path("backfills/<int:backfill_id>/cancel/", backfills.CancelBackfill.as_view()),
]
