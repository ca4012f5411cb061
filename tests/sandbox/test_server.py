"""The sandbox's HTTP server, as a program and inside a test: connections, bodies, the stop, the seed it serves."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import phonenumbers
import pytest
import requests

from sandbox import seed
from sandbox.client import Control
from sandbox.server import Server, running
from sandbox.world import World

ROOT = Path(__file__).resolve().parent.parent.parent
HUBSPOT = {"Authorization": "Bearer pat-sandbox-token"}
LLM = {"Authorization": "Bearer sandbox-llm-key"}


@contextlib.contextmanager
def connected(base_url: str) -> Iterator[http.client.HTTPConnection]:
    parts = urlsplit(base_url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        yield connection
    finally:
        connection.close()


@contextlib.contextmanager
def program(*arguments: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """The sandbox as its own process, once it says that it is ready."""
    command = [sys.executable, "-W", "error", "-m", "sandbox", "--port", "0", "--count", "20", *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            yield process, line.removeprefix("Sandbox ready on ").strip()
        finally:
            process.kill()


def test_one_connection_serves_many_requests(sandbox):
    with connected(sandbox.base_url) as connection:
        ports = set()
        for _ in range(3):
            connection.request("GET", "/v1/models", headers=LLM)
            response = connection.getresponse()
            assert response.status == 200
            response.read()
            ports.add(connection.sock.getsockname()[1])
    assert len(ports) == 1


def test_a_chunked_body_is_read_like_any_other(sandbox):
    document = json.dumps({"properties": {"firstname": "Ada", "email": "ada@example.com"}}).encode()
    pieces = (document[i : i + 7] for i in range(0, len(document), 7))
    headers = {**HUBSPOT, "Content-Type": "application/json"}
    answer = requests.post(
        f"{sandbox.base_url}/crm/v3/objects/contacts", data=pieces, headers=headers, timeout=5
    )
    assert answer.status_code == 201
    assert sandbox.control.contact("hubspot", answer.json()["id"])["fields"]["firstname"] == "Ada"


@pytest.mark.parametrize("size", [b"Grace", b"-5", b""])
def test_a_chunk_without_a_size_is_refused_and_the_connection_closed(sandbox, size):
    with connected(sandbox.base_url) as connection:
        connection.putrequest("POST", "/v1/responses")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders(size + b"\r\n")
        response = connection.getresponse()
        assert (response.status, response.getheader("Connection")) == (400, "close")
        response.read()


@pytest.mark.parametrize(("length", "status"), [("ten", 400), ("-1", 400), ("999999999999", 413)])
def test_a_length_that_cannot_be_right_is_refused(sandbox, length, status):
    with connected(sandbox.base_url) as connection:
        connection.putrequest("POST", "/v1/responses")
        connection.putheader("Content-Length", length)
        connection.endheaders()
        response = connection.getresponse()
        assert response.status == status
        response.read()


def test_head_has_the_length_of_the_body_but_no_body(sandbox):
    full = requests.get(f"{sandbox.base_url}/v1/models", headers=LLM, timeout=5)
    head = requests.head(f"{sandbox.base_url}/v1/models", headers=LLM, timeout=5)
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["Content-Length"] == str(len(full.content))


@pytest.mark.parametrize("method", ["TRACE", "OPTIONS", "QUERY", "BREW"])
def test_an_odd_method_is_refused_in_the_systems_own_words(sandbox, method):
    url = f"{sandbox.base_url}/crm/objects/2026-03/contacts"
    answer = requests.request(method, url, headers=HUBSPOT, timeout=5)
    assert (answer.status_code, answer.json()["category"]) == (405, "METHOD_NOT_ALLOWED")


def test_a_path_nobody_owns_is_a_404_in_json_and_is_logged(sandbox):
    answer = requests.get(f"{sandbox.base_url}/nowhere", timeout=5)
    assert answer.status_code == 404
    assert "/nowhere" in answer.json()["error"]
    assert [(entry["system"], entry["status"]) for entry in sandbox.control.requests()] == [(None, 404)]


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "example.com", ""])
def test_only_loopback_is_served(host):
    with pytest.raises(ValueError, match="loopback"):
        Server(World(0), host)


def test_ipv6_loopback_is_served():
    if not socket.has_ipv6:
        pytest.skip("needs IPv6")
    with running(World(0), host="::1") as base_url:
        assert base_url.startswith("http://[::1]:")
        assert requests.get(f"{base_url}/_sandbox/health", timeout=5).json()["status"] == "ok"


def test_the_date_header_shows_the_vendors_own_clock(sandbox):
    sandbox.control.set_clock("hubspot", -86_400)
    url = f"{sandbox.base_url}/crm/v3/objects/contacts?limit=1"
    date = requests.get(url, headers=HUBSPOT, timeout=5).headers["Date"]
    shown = time.mktime(time.strptime(date, "%a, %d %b %Y %H:%M:%S GMT")) - time.timezone
    assert abs(time.time() - 86_400 - shown) < 5


def test_twenty_callers_at_once_lose_and_double_nothing(sandbox):
    start = threading.Barrier(20)

    def write_and_read(caller):
        with requests.Session() as session:
            session.headers.update(HUBSPOT)
            start.wait(timeout=10)
            ids = []
            for number in range(10):
                properties = {"firstname": "Grace", "email": f"grace{caller}.{number}@example.com"}
                made = session.post(
                    f"{sandbox.base_url}/crm/v3/objects/contacts", json={"properties": properties}, timeout=20
                )
                ids.append(made.json()["id"])
                read = session.get(
                    f"{sandbox.base_url}/crm/v3/objects/contacts/{ids[-1]}?properties=email", timeout=20
                )
                assert read.json()["properties"]["email"] == properties["email"]
            return ids

    with ThreadPoolExecutor(20) as pool:
        ids = [one for made in pool.map(write_and_read, range(20)) for one in made]
    assert len(set(ids)) == 200
    assert len(sandbox.control.contacts("hubspot", firstname="Grace", lastname="")) == 200
    numbers = [entry["sequence"] for entry in sandbox.control.requests(system="hubspot")]
    assert len(numbers) == 400
    assert numbers == sorted(set(numbers))


def test_stopping_ends_idle_and_waiting_connections_soon():
    world = World(0)
    with running(world) as base_url, connected(base_url) as idle:
        idle.request("GET", "/v1/models", headers=LLM)
        idle.getresponse().read()
        Control(base_url).add_fault(action="delay", system="llm", seconds=600)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(requests.get, f"{base_url}/v1/models", headers=LLM, timeout=30)
            while not world.log.entries(path="models")[1:]:
                time.sleep(0.01)
            begun = time.monotonic()
            world.stopping.set()
            assert waiting.result().status_code == 200
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_the_program_says_when_it_is_ready_and_ends_with_0_when_told(sent):
    with program() as (process, base_url):
        assert Control(base_url).health()["count"] == 20
        process.send_signal(sent)
        assert process.wait(timeout=10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_a_taken_port_is_said_plainly():
    with running(World(0)) as base_url:
        port = str(urlsplit(base_url).port)
        command = [sys.executable, "-m", "sandbox", "--port", port, "--count", "0"]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"Cannot serve on 127.0.0.1:{port}")


def test_the_program_refuses_an_address_that_others_can_reach():
    command = [sys.executable, "-m", "sandbox", "--host", "0.0.0.0"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 2
    assert "loopback only" in ended.stderr


def test_the_program_ends_with_its_parent_when_asked_to():
    code = (
        "import subprocess, sys; "
        "subprocess.run([sys.executable, '-m', 'sandbox', '--port', '0', '--count', '0', '--with-parent'])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        base_url = parent.stdout.readline().removeprefix("Sandbox ready on ").strip()
        pid = Control(base_url).health()["pid"]
        parent.kill()
        assert parent.stdout.read() == ""
    with pytest.raises(ConnectionRefusedError):
        Control(base_url).health()
    assert pid != os.getpid()


@pytest.fixture(scope="module")
def full_world():
    """The sandbox at its default size, and its contacts' phones as read over HTTP."""
    with running(World()) as base_url:
        control = Control(base_url)
        phones = {"salesforce": "Phone", "hubspot": "phone"}
        yield {
            crm: [contact["fields"][name] for contact in control.contacts(crm)]
            for crm, name in phones.items()
        }


def e164(phone: str) -> str | None:
    try:
        number = phonenumbers.parse(phone, "US")
    except phonenumbers.NumberParseException:
        return None
    return phonenumbers.format_number(number, 0) if phonenumbers.is_valid_number(number) else None


@pytest.mark.parametrize("crm", ["salesforce", "hubspot"])
def test_each_crm_holds_exactly_what_the_seed_promises(full_world, crm):
    phones = full_world[crm]
    numbers = Counter(filter(None, (e164(phone) for phone in phones if phone)))
    twice = [number for number, times in numbers.items() if times == 2]
    junk = [phone for phone in phones if phone and e164(phone) is None]
    seen = seed.Expected(
        records=len(phones),
        no_phone=sum(not phone for phone in phones),
        junk=len(junk),
        usable=sum(numbers.values()),
        numbers=len(numbers),
        duplicates=len(twice),
    )
    assert seen == seed.expected(500) == seed.Expected(500, 25, 15, 460, 450, 10)
    assert max(numbers.values()) == 2


def test_forty_numbers_stand_in_both_crms(full_world):
    held = [{e164(phone) for phone in phones if phone} - {None} for phones in full_world.values()]
    assert len(held[0] & held[1]) == seed.shared_numbers(500) == 40


def test_a_world_seeded_twice_is_the_same():
    assert seed.people("hubspot", 100) == seed.people("hubspot", 100)
    assert all(one.modified.year == 2026 for one in seed.people("salesforce", 20_000)[-1:])
