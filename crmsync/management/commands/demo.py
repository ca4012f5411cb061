"""`manage.py demo`: the whole loop against the sandbox CRMs. Start it with bin/demo, which gives it a database of its own."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import requests
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from activity.models import ActivityEntry, WebhookDelivery
from contacts.models import ContactTouched
from crmsync.demo import checks, seed, story
from crmsync.demo.processes import DemoProblem, Processes, answers, free_port, stopped_at_the_end, wait_for
from crmsync.demo.story import Crm
from integrations.models import Connection
from sync.arming import approve_outbound, preview_outbound
from sync.models import PendingPush, SyncRun, counts_in_words
from sync.runs import OPEN, request_run

STEPS = (
    "salesforce-import", "hubspot-import", "approval", "call", "chat", "overwrite", "fill_if_empty", "merge", "salesforce-push",
    "hubspot-push", "salesforce-activity", "hubspot-activity", "variables",
)  # fmt: skip


class Command(BaseCommand):
    """Exit status 0 when everything was as expected, 1 otherwise; the table names each line that was not."""

    requires_system_checks = ()
    help = "Show the product at work against the sandbox CRMs, or with --check prove it."

    def add_arguments(self, parser: CommandParser) -> None:
        """Serve or check; and, to see the check fail, leave a step out."""
        parser.add_argument("--check", action="store_true", help="verify the end state in both CRMs and end")
        parser.add_argument("--count", type=int, default=500, help="contacts in each CRM (default 500)")
        parser.add_argument("--without", action="append", default=[], choices=STEPS, help="leave a step out")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run the story, print the table, and serve until Ctrl-C unless checking."""
        var_dir = Path(settings.VAR_DIR)
        if var_dir.name != "demo" and not os.environ.get("CRMSYNC_DEMO"):
            raise CommandError(
                "The demo wipes its database. Start it with bin/demo, which gives it one of its own."
            )
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            with stopped_at_the_end(var_dir) as processes:
                lines = self._tell(processes, options)
                if not options["check"] and all(line.ok for line in lines):
                    self._serve(processes)
        except DemoProblem as problem:
            raise CommandError(str(problem)) from problem
        except KeyboardInterrupt:
            self._say("Stopped.")
            return
        wrong = [line for line in lines if not line.ok]
        if wrong:
            raise CommandError(
                "Not as expected: " + "; ".join(f"{line.what} (step {line.step})" for line in wrong)
            )
        self._say("Everything is as expected.")

    def _tell(self, processes: Processes, options: dict[str, Any]) -> list[checks.Line]:
        without = options["without"]
        self._say("Starting a stand-in Salesforce, HubSpot and language model …")
        sandbox = f"http://127.0.0.1:{self._start_sandbox(processes, options['count'])}"
        self.sandbox_url = sandbox
        self._say("Preparing a fresh database with fields of all six types and both connections …")
        key = self.signing_key = self._seed(sandbox, without)
        self._start_server(processes, sandbox)
        salesforce, hubspot = Crm("salesforce", sandbox), Crm("hubspot", sandbox)
        number = story.choose_customer(salesforce, hubspot)
        self._import(without)
        facts = checks.Facts(salesforce, hubspot, number, self._before(salesforce, number))
        facts.writes_before, facts.waited = self._writes(0), PendingPush.objects.count()
        self._approve(without)
        self._converse(without, number, key)
        if "variables" not in without:
            facts.variables = story.agent_sees(self.base_url, number, key)
        facts.writes_after = self._sync_again(sandbox)
        lines = checks.lines(facts)
        self.stdout.write(checks.table(lines))
        self.number = number
        return lines

    def _start_sandbox(self, processes: Processes, count: int) -> int:
        port = free_port()
        processes.start(
            "sandbox", ["-m", "sandbox", "--port", str(port), "--count", str(count), "--with-parent"]
        )
        wait_for(
            "the sandbox",
            lambda: answers(f"http://127.0.0.1:{port}/_sandbox/health") or self._check(processes),
        )
        return port

    def _seed(self, sandbox: str, without: list[str]) -> str:
        call_command("migrate", verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        seed.people()
        seed.fields()
        seed.analysis_mappings(without)
        seed.connection(
            "salesforce", 1, sandbox, {"client_id": "sandbox-key", "client_secret": "sandbox-secret"}, without
        )
        seed.connection("hubspot", 2, sandbox, {"access_token": "pat-sandbox-token"}, without)
        return seed.signing_key()

    def _start_server(self, processes: Processes, sandbox: str) -> None:
        port = free_port()
        self.base_url = f"http://127.0.0.1:{port}"
        environment = {"OPENAI_BASE_URL": f"{sandbox}/v1", "OPENAI_API_KEY": "sandbox-llm-key"}
        web = [
            "-m",
            "gunicorn",
            "crmsync.wsgi",
            "--bind",
            f"127.0.0.1:{port}",
            "--worker-class",
            "gthread",
            "--threads",
            "8",
        ]
        processes.start("web", [*web, "--no-control-socket", "--log-level", "warning"], environment)
        processes.start("worker", ["manage.py", "worker"], environment)
        self._say("Starting the web server and the worker …")
        wait_for("the web server", lambda: answers(f"{self.base_url}/healthz") or self._check(processes))

    def _check(self, processes: Processes) -> bool:
        if dead := processes.dead():
            raise DemoProblem(
                f"The {' and the '.join(dead)} ended by itself. Its log is in {settings.VAR_DIR}."
            )
        return False

    def _import(self, without: list[str]) -> None:
        self._say("Importing both CRMs through their inbound mappings …")
        for connection in Connection.objects.order_by("rank"):
            if f"{connection.provider}-import" not in without:
                request_run(connection, by="demo")
                wait_for(f"the import of {connection}", self._quiet)

    def _approve(self, without: list[str]) -> None:
        """Approve the preview of each connection, as an operator does: until then nothing is written to the CRMs."""
        if "approval" in without:
            return
        for connection in Connection.objects.order_by("rank"):
            seen_at, seen = timezone.now(), preview_outbound(connection)
            self._say(f"Approving what waits for {connection}: {counts_in_words(dict(seen.counts))} …")
            approve_outbound(connection, by="demo", previewed_at=seen_at)
        wait_for("the approved pushes", self._quiet)

    def _before(self, salesforce: Crm, number: str) -> dict[str, Any]:
        contact = story.contact_of(number)
        fields = salesforce.fields(salesforce.numbers()[number][0])
        return {"notes": (contact and contact.value("notes")) or fields["Notes__c"], "Phone": fields["Phone"]}

    def _converse(self, without: list[str], number: str, key: str) -> None:
        stories = {"call": story.call_events(number), "chat": story.chat_events(number)}
        for step, events in stories.items():
            if step in without:
                continue
            self._say(f"Posting the signed events of a {step} to /webhooks/retell/ …")
            for event in events:
                story.post(f"{self.base_url}/webhooks/retell/", event, key)
            # The same events once more, as platforms do: nothing may happen twice.
            story.post(f"{self.base_url}/webhooks/retell/", events[-1], key)
            wait_for(f"the work after the {step}", self._quiet)

    def _quiet(self) -> bool:
        """Nothing is due any more: every delivery, push, activity and run has been dealt with."""
        waiting = (
            WebhookDelivery.objects.filter(state="pending"),
            ContactTouched.objects.all(),
            PendingPush.objects.filter(connection__armed_at__isnull=False),
            ActivityEntry.objects.filter(state__in=["pending", "sending", "unknown"]),
            SyncRun.objects.filter(state__in=OPEN),
        )
        return not any(rows.exists() for rows in waiting)

    def _sync_again(self, sandbox: str) -> int:
        """Sync both CRMs once more and count the writes that reach them: there must be none."""
        self._say("Syncing both CRMs again: our own writes come back and must change nothing …")
        since = requests.get(f"{sandbox}/_sandbox/requests", timeout=10).json()["last"]
        for connection in Connection.objects.exclude(cursor=""):
            request_run(connection, by="demo")
        wait_for("the second sync", self._quiet)
        return self._writes(since)

    def _writes(self, since: int) -> int:
        """How many writes reached the CRMs after request number `since`."""
        log = f"{self.sandbox_url}/_sandbox/requests"
        rows = requests.get(log, params={"since": since}, timeout=10).json()["requests"]
        reads = ("/search", "/batch/read", "/oauth2/token", "/access-token-info", "/_sandbox", "/v1/")
        return sum(row["method"] != "GET" and not any(part in row["path"] for part in reads) for row in rows)

    def _serve(self, processes: Processes) -> None:
        Connection.objects.update(next_sync_at=timezone.now())
        contact = story.contact_of(self.number)
        profile = f"{self.base_url}/contacts/{contact.public_id}/" if contact else self.base_url
        self._say(
            f"""
The demo is running. Sign in as admin, operator or staff; the password is “{seed.PASSWORD}”.

  dashboard          {self.base_url}/
  the customer       {profile}
  configuration      {self.base_url}/admin/
  API                {self.base_url}/api/docs/
  the CRMs           {self.sandbox_url}/   (Salesforce and HubSpot as their own users see them)
  a key for scripts  {seed.script_key()}   (Authorization: Bearer …)
  a key for events   {self.signing_key}   (signs what is posted to {self.base_url}/webhooks/retell/)

Change a field in either CRM or in the contact: it reaches the other side. Ctrl-C stops everything."""
        )
        while not processes.dead():
            time.sleep(1)
        self._check(processes)

    def _say(self, words: str) -> None:
        self.stderr.write(words)
        sys.stderr.flush()
