"""`manage.py sync`: run inbound syncs now, in this process, or see what they would do."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Q
from tqdm import tqdm

from integrations.models import Connection
from integrations.providers.errors import ProviderError
from sync.models import PendingPush, RunState, SyncRun, counts_in_words
from sync.preview import Preview, preview
from sync.pull import run_now
from sync.push import push_some
from sync.runs import RunOpen, request_run
from sync.touch import drain_touched


class Command(BaseCommand):
    """Exit status 0 when every run succeeded, 1 otherwise with the reason."""

    help = "Sync one connection or all of them now: CRM to contacts, then what changed here back to the CRM."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which connection, how much, and whether for real."""
        parser.add_argument(
            "connection", nargs="?", help="a connection's name, id or provider; all of them without it"
        )
        parser.add_argument(
            "--full", action="store_true", help="read everything again, not only what changed"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="write nothing on either side; print what would change"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Sync and print one line a connection."""
        failed = [c for c in self._chosen(options["connection"]) if not self._sync(c, options)]
        if failed:
            raise CommandError(f"Not in order: {', '.join(connection.name for connection in failed)}.")

    def _chosen(self, word: str | None) -> list[Connection]:
        rows = Connection.objects.filter(enabled=True)
        if word:
            rows = Connection.objects.filter(Q(name=word) | Q(public_id=word) | Q(provider=word))
        if not rows:
            raise CommandError(
                f"No connection is called “{word}”." if word else "There is no enabled connection."
            )
        if off := [row.name for row in rows if not row.enabled]:
            raise CommandError(f"Switched off: {', '.join(off)}. Enable it in the admin first.")
        return list(rows)

    def _sync(self, connection: Connection, options: dict[str, Any]) -> bool:
        with tqdm(desc=connection.name, unit=" records", file=self.stderr, disable=None) as bar:
            try:
                if options["dry_run"]:
                    return self._report_preview(
                        connection, preview(connection, full=options["full"], progress=_mover(bar))
                    )
                run = request_run(connection, full=options["full"], by="command line")
            except RunOpen as error:
                self.stderr.write(f"{error} Joining it.")
                run = error.run
            except ProviderError as error:
                self.stderr.write(f"{connection.name}: {error.message}")
                return False
            return self._report_run(run_now(run, progress=_mover(bar)))

    def _report_run(self, run: SyncRun) -> bool:
        while drain_touched() or push_some():
            continue
        reason = f" ({run.error})" if run.error else ""
        self.stdout.write(
            f"{run.connection.name}: {run.get_state_display()}{reason}: {counts_in_words(run.counts)}"
        )
        if waiting := PendingPush.objects.filter(
            connection=run.connection, connection__armed_at=None
        ).count():
            self.stdout.write(
                f"{run.connection.name}: {waiting} changed contacts wait until its outbound preview is approved."
            )
        return run.state == RunState.SUCCEEDED

    def _report_preview(self, connection: Connection, result: Preview) -> bool:
        self.stdout.write(
            f"{connection.name}, dry run, nothing was written: {counts_in_words(dict(result.counts))}"
        )
        for row in result.rows:
            where = "here" if row.side == "contact" else "in the CRM"
            self.stdout.write(f"  {row.external_id} {row.field} {where}: {row.old!r} → {row.new!r}")
        for reason, count in result.skipped.most_common():
            self.stdout.write(f"  skipped {reason} ({count} records)")
        return True


def _mover(bar: tqdm[Any]) -> Any:
    def move(state: SyncRun | Preview) -> None:
        if state.total:
            bar.total = state.total
        bar.update(state.done - bar.n)

    return move
