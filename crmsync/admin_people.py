"""People in the admin: a role for each, chosen by its name. Whoever needs another cut gives them groups and permissions below."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.contrib.auth.models import User
from django.db.models import Q, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.safestring import SafeString

from contacts import shown
from crmsync.roles import ADMINISTRATOR, OPERATOR, REVIEWER, ROLES, STAFF, give_role, role_of

OTHER = ""
MEANS = {
    ADMINISTRATOR: "Administrator: everything, and hands out access",
    OPERATOR: "Operator: connects CRMs, maps, approves, syncs, mends; hands out no access",
    REVIEWER: "Reviewer: answers questions, reviews merges, edits contacts",
    STAFF: "Staff: reads",
    OTHER: "None of these: the groups and permissions below",
}


class WithRole(forms.Form):
    """The choice of one of the four roles."""

    role = forms.ChoiceField(
        choices=MEANS.items(), widget=forms.RadioSelect, required=False,
        help_text="What the person sees and may do. All but staff may enter Setup, each their own part of it.",
    )  # fmt: skip


class NewPersonForm(WithRole, AdminUserCreationForm):
    """A new person begins as staff, unless told otherwise."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"].initial = STAFF


class PersonForm(WithRole, UserChangeForm):
    """A person with their present role chosen."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "role" in self.fields:
            self.fields["role"].initial = _role(self.instance)

    def clean(self) -> dict[str, Any]:
        """The last administrator stays one: nobody else could make another."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        was = _role(self.instance) == ADMINISTRATOR
        stays = cleaned.get("role") == ADMINISTRATOR and cleaned.get("is_active", True)
        if was and not stays and not _administrators().exclude(pk=self.instance.pk).exists():
            self.add_error("role", "Nobody else is administrator. Make somebody else one first.")
        return cleaned


admin.site.unregister(User)


@admin.register(User)
class PersonAdmin(UserAdmin):
    """Who signs in."""

    form = PersonForm
    add_form = NewPersonForm
    list_display = ("username", "called", "email", "role", "active", "seen")
    list_filter = ("is_active", "groups")
    show_facets = admin.ShowFacets.NEVER
    readonly_fields = ("last_login", "date_joined")
    add_fieldsets = ((None, {"fields": ("username", "usable_password", "password1", "password2", "role")}),)
    fieldsets = (
        (None, {"fields": ("username", "password", "role", "is_active")}),
        ("About the person", {"fields": ("first_name", "last_name", "email", "last_login", "date_joined")}),
        (
            "Another cut than the four roles",
            {"fields": ("is_staff", "is_superuser", "groups", "user_permissions"), "classes": ["collapse"]},
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """With the groups, which tell the role."""
        rows: QuerySet[User] = super().get_queryset(request)
        return rows.prefetch_related("groups")

    def save_related(self, request: HttpRequest, form: ModelForm, formsets: Any, change: bool) -> None:
        """The role comes last: it decides about the four groups, and whether Setup is open."""
        super().save_related(request, form, formsets, change)
        role = form.cleaned_data.get("role", OTHER)
        if role in ROLES and (not change or "role" in form.changed_data):
            form.instance.is_superuser &= role == ADMINISTRATOR
            form.instance.save(update_fields=["is_superuser"])
            give_role(form.instance, role)

    @admin.display(description="name", ordering="last_name")
    def called(self, person: User) -> str:
        """First and last name."""
        return person.get_full_name() or "–"

    @admin.display(description="role")
    def role(self, person: User) -> SafeString | str:
        """In one word."""
        held = _role(person)
        return shown.chip(held, "info" if held == ADMINISTRATOR else "calm") if held else "own permissions"

    @admin.display(description="may sign in", boolean=True, ordering="is_active")
    def active(self, person: User) -> bool:
        """Whether they are let in."""
        return person.is_active

    @admin.display(description="last seen", ordering="last_login")
    def seen(self, person: User) -> SafeString | str:
        """When they last signed in."""
        return shown.moment(person.last_login)


def _administrators() -> QuerySet[User]:
    """Those who can hand out access, and can sign in."""
    return User.objects.filter(Q(is_superuser=True) | Q(groups__name=ADMINISTRATOR), is_active=True)


def _role(person: User) -> str:
    """The role that says it all of somebody; of a superuser who has no role, the administrator's."""
    return role_of(person) if person.pk else OTHER
