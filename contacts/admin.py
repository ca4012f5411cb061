"""The contact book in the admin. Values of a contact are edited on its page, through the one door."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.html import format_html
from django.utils.safestring import SafeString

from contacts import phone, shown
from contacts.finding import holding
from contacts.ledger import BoundedPaginator, Ledger
from contacts.models import Contact, ContactChange, ContactTag, CustomField


class OneALine(forms.CharField):
    """A list of texts, edited one a line."""

    widget = forms.Textarea(attrs={"rows": 6, "cols": 40})

    def prepare_value(self, value: Any) -> Any:
        """The list as lines."""
        return "\n".join(str(entry) for entry in value) if isinstance(value, list) else value

    def clean(self, value: Any) -> Any:
        """The lines as a list, blank lines left out."""
        return [line.strip() for line in str(super().clean(value) or "").splitlines() if line.strip()]


class CustomFieldForm(forms.ModelForm):
    """A custom field; the options of an enum are lines, not JSON."""

    options = OneALine(required=False, help_text="For an enum: its allowed values, one a line.")

    class Meta:
        model = CustomField
        fields = ("name", "label", "type", "description", "options", "position", "private", "fallback")
        help_texts = {
            "type": "A value that does not fit is refused, wherever it comes from, with the reason. Fixed once the field exists.",
            "position": "Fields are listed in this order, in forms, columns and on contacts; lower ones come first.",
        }


@admin.register(CustomField)
class CustomFieldAdmin(admin.ModelAdmin):
    """Fields that operators add. Name and type are fixed once the field exists."""

    form = CustomFieldForm
    list_display = ("shown_name", "name", "type", "description", "position")
    search_fields = ("name", "label", "description")

    @admin.display(description="field", ordering="label")
    def shown_name(self, field: CustomField) -> str:
        """The label people see."""
        return str(field)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:  # noqa: ARG002
        """Name and type are chosen once."""
        return ("name", "type") if obj else ()

    def get_deleted_objects(self, objs: Iterable[CustomField], request: HttpRequest) -> tuple[Any, ...]:
        """A field that a mapping uses is protected, and the mapping is named."""
        fields = list(objs)
        protected = [f"{field}: used by {use}" for field in fields for use in field.uses()]
        needed = set() if self.has_delete_permission(request) else {"custom field"}
        return [str(field) for field in fields], {"custom fields": len(fields)}, needed, protected

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[CustomField]) -> None:  # noqa: ARG002
        """One by one, because each checks its uses."""
        for field in queryset:
            field.delete()


@admin.register(ContactTag)
class ContactTagAdmin(admin.ModelAdmin):
    """Labels that group contacts."""

    list_display = ("label", "listed", "members")
    search_fields = ("label",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ContactTag]:
        """With the number of contacts."""
        rows: QuerySet[ContactTag] = super().get_queryset(request)
        return rows.annotate(_members=Count("contacts"))

    @admin.display(description="contacts", ordering="_members")
    def members(self, tag: ContactTag) -> int:
        """How many contacts carry the tag."""
        return int(getattr(tag, "_members", 0))


@admin.register(Contact)
class ContactAdmin(admin.ModelAdmin):
    """The list. Adding, editing and deleting happen on the contact's page, which looks at CRM links."""

    list_display = ("name", "number", "calls", "conversation_count", "last_conversation", "changed")
    list_filter = ("do_not_call", "tags")
    search_fields = ("first_name",)  # that there is a search; what it looks through is said below
    search_help_text = (
        "Name or number. The contacts page also finds spellings of a number, CRM ids and values. "
        "A contact is deleted on its page."
    )
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = BoundedPaginator
    ordering = ("-created_at", "-id")
    sortable_by = ("number", "conversation_count", "changed")  # what an index has in order
    list_per_page = 50

    def get_search_results(
        self,
        request: HttpRequest,  # noqa: ARG002
        queryset: QuerySet[Contact],
        search_term: str,
    ) -> tuple[QuerySet[Contact], bool]:
        """Every word stands somewhere in names, number or values; an index finds it."""
        words = search_term.split()[:10]
        return (holding(queryset, words) if words else queryset), False

    def add_view(self, *_: Any, **__: Any) -> HttpResponse:
        """The page's form, which writes through the one door."""
        return redirect("contact-new")

    def change_view(  # type: ignore[override]  # Django passes the id by keyword
        self, _: HttpRequest, object_id: str, *__: Any, **___: Any
    ) -> HttpResponse:
        """The contact's page."""
        contact = get_object_or_404(
            Contact.objects.only("public_id"), pk=object_id if object_id.isdigit() else 0
        )
        return redirect(contact)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002
        """A CRM that still has the record would bring the contact back: the contact's page looks at that."""
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Contact]:
        """Without what the list does not show."""
        return super().get_queryset(request).defer("custom_fields", "sources")

    @admin.display(description="number", ordering="phone_number")
    def number(self, contact: Contact) -> str:
        """As its country writes it."""
        return phone.for_people(contact.phone_number)

    @admin.display(description="calls", ordering="do_not_call")
    def calls(self, contact: Contact) -> SafeString | str:
        """The opt-out."""
        return shown.chip("do not call", "bad") if contact.do_not_call else "–"

    @admin.display(description="last conversation", ordering="last_conversation_at")
    def last_conversation(self, contact: Contact) -> SafeString | str:
        """Its age."""
        return shown.moment(contact.last_conversation_at)

    @admin.display(description="changed", ordering="updated_at")
    def changed(self, contact: Contact) -> SafeString | str:
        """Its age."""
        return shown.moment(contact.updated_at)


@admin.register(ContactChange)
class ContactChangeAdmin(Ledger):
    """Every write to a contact: what, when, from where."""

    list_display = ("when", "who", "source", "what", "created")
    search_fields = ("source_ref__exact", "contact__phone_number__exact")
    search_help_text = "A source like run:12, conversation:7 or user:3, or a contact's number in E.164."

    @admin.display(description="at", ordering="at")
    def when(self, change: ContactChange) -> SafeString | str:
        """Its age."""
        return shown.moment(change.at)

    @admin.display(description="contact")
    def who(self, change: ContactChange) -> SafeString:
        """The contact, leading to its page."""
        return format_html('<a href="{}">{}</a>', change.contact.get_absolute_url(), change.contact.name)

    @admin.display(description="source")
    def source(self, change: ContactChange) -> str:
        """Where it came from."""
        return change.source_label or change.source_kind

    @admin.display(description="fields")
    def what(self, change: ContactChange) -> str:
        """The names of the fields."""
        return ", ".join(change.diff)
