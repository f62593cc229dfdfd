"""The server as its clients meet it: every route and error over real sockets, durability, limits, and how it starts and ends."""
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import shoplet
from shoplet import run, train, write

# What a visitor looked at, with nothing that could hide it.
SITE = shoplet.SITE.replace("product = m.page", 'history = m.page { m.slot "recent" { take = 10, from = m.source.recent(20) } },\n  product = m.page')
FAILING_SITE = SITE.replace("p.cap { category = 3 },", "p.lua(function() error('this policy is broken') end), p.cap { category = 3 },")
PARAM_SITE = SITE.replace(
    "p.cap { category = 3 },", "p.lua(function(slate, ctx) if ctx.params.mode == 'a b' then slate:keep(slate.category:eq('cat1')) end end),")


class Server:
    """`moonshelf serve` on a free port; talk to it with get, post and raw."""

    def __init__(self, site, bundle, *more):
        self.process = subprocess.Popen([shoplet.MOONSHELF, "serve", site, "--bundle", bundle, "--port", "0", *more], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        found = re.match(r"listening on http://127\.0\.0\.1:(\d+)$", line.strip())
        if not found:
            raise AssertionError(f"no port in {line!r}: {self.process.communicate()[1]}")
        self.port = int(found.group(1))

    def connect(self, timeout=10):
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def ask(self, method, path, body=None, headers=None):
        """(status, headers, body bytes) over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def get(self, path, status=200):
        got, _, body = self.ask("GET", path)
        if got != status:
            raise AssertionError(f"GET {path}: {got}, expected {status}: {body[:500]}")
        return json.loads(body)

    def post(self, events, status=200):
        body = events if isinstance(events, (str, bytes)) else json.dumps(events)
        got, _, answer = self.ask("POST", "/v1/events", body, {"content-type": "application/json"})
        if got != status:
            raise AssertionError(f"POST {body[:200]}: {got}, expected {status}: {answer[:500]}")
        return json.loads(answer)

    def raw(self, data, timeout=10):
        """Sends bytes, half-closes and reads all that comes back."""
        with self.connect(timeout) as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            return read_all(sock)

    def history(self, user):
        """What the user looked at, newest first."""
        page = self.get(f"/v1/page/history?user={user}")
        return [] if page["cold"] else ids(page)

    def metrics(self):
        text = self.ask("GET", "/metrics")[2].decode()
        return {name: float(value) for name, value in re.findall(r"^(moonshelf_\S+) (\S+)$", text, re.M)}

    def stop(self, how=signal.SIGTERM, code=0):
        if how and self.process.poll() is None:
            self.process.send_signal(how)
        try:
            out, err = self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"still there 20 s after {how}: {self.process.communicate()}") from None
        if self.process.returncode != code:
            raise AssertionError(f"exit {self.process.returncode}, expected {code}\n{out}\n{err}")
        return err


def read_all(sock):
    data = b""
    try:
        while part := sock.recv(65536):
            data += part
    except ConnectionResetError:
        pass
    return data


def answers(data):
    """Splits the bytes of several answers into (status, headers, body)."""
    found = []
    while data:
        head, data = data.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
        n = int(headers.get("content-length", 0)) if not lines[0].endswith("Continue") else 0
        found.append((int(lines[0].split()[1]), headers, data[:n]))
        data = data[n:]
    return found


def request(path, method="GET", body=b"", more=""):
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n{length}{more}\r\n".encode() + body


def view(user, item, **more):
    return {"user": user, "item": item, "event": "view", **more}


def ids(page):
    return [item["id"] for slot in page["slots"] for item in slot["items"]]


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.top = tempfile.mkdtemp(prefix="moonshelf-serve-")
        cls.data = os.path.join(cls.top, "data")
        os.mkdir(cls.data)
        shoplet.make(cls.data)
        cls.site = write(cls.top, "site.lua", SITE)
        cls.bundle = os.path.join(cls.top, "bundle")
        train(cls.data, cls.bundle)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.top)

    def serve(self, *more, site=None, log="none"):
        server = Server(site or self.site, self.bundle, "--event-log", log, *more)
        self.addCleanup(lambda: server.process.poll() is None and server.stop(signal.SIGKILL, -signal.SIGKILL))
        return server

    def log_path(self):
        return os.path.join(tempfile.mkdtemp(dir=self.top), "events.db")


class Shared(Base):
    """One server for the tests that leave it as it was."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = Server(cls.site, cls.bundle, "--event-log", "none", "--max-body", "5000")

    @classmethod
    def tearDownClass(cls):
        try:
            cls.server.stop()
        finally:
            super().tearDownClass()


class Pages(Shared):
    def test_home_product_and_cart(self):
        page = self.server.get("/v1/page/home?user=u1")
        self.assertEqual([slot["name"] for slot in page["slots"]], ["for_you", "recent", "trending"])
        self.assertFalse(page["cold"])
        self.assertEqual(len(ids(page)), len(set(ids(page))))
        self.assertNotIn("i16", ids(page))  # stock 0
        self.assertNotIn("i3", ids(self.server.get("/v1/page/product?user=u1&item=i3")))
        cart = self.server.get("/v1/page/cart?user=u1&items=i1,%20i2,")
        self.assertTrue(ids(cart))
        self.assertFalse({"i1", "i2"} & set(ids(cart)))

    def test_it_is_the_page_that_the_command_prints(self):
        printed = json.loads(run("page", self.site, "--bundle", self.bundle, "--surface", "product", "--item", "i3", "--json").stdout)
        self.assertEqual(ids(printed), ids(self.server.get("/v1/page/product?item=i3")))

    def test_unknown_user_gets_the_cold_page_and_unknown_names_404(self):
        for path in ("/v1/page/home", "/v1/page/home?user=", "/v1/page/home?user=nobody"):
            page = self.server.get(path)
            self.assertTrue(page["cold"], path)
            self.assertTrue(ids(page), path)
        self.assertIn("home", self.server.get("/v1/page/hoem", 404)["error"]["message"])
        self.assertIn("i9999", self.server.get("/v1/page/product?item=i9999", 404)["error"]["message"])
        self.assertEqual(self.server.get("/v1/page/product?item=i9999", 404)["error"]["code"], "not_found")

    def test_explain_says_why(self):
        item = self.server.get("/v1/page/home?user=u1&explain=1")["slots"][0]["items"][0]
        self.assertEqual(item["explain"]["position"], 1)
        self.assertTrue(item["why"])
        self.assertNotIn("explain", self.server.get("/v1/page/home?user=u1")["slots"][0]["items"][0])

    def test_bad_parameters_are_400(self):
        for query in ("user=%zz", "user=%ff", "user=a%00b", "user=a&user=b", "explain=perhaps", "&".join(f"p{i}=1" for i in range(80)),
                      "items=" + "i1," * 250):
            self.assertEqual(self.server.get("/v1/page/home?" + query, 400)["error"]["code"], "bad_request", query)

    def test_other_parameters_reach_policies_decoded(self):
        server = self.serve(site=write(tempfile.mkdtemp(dir=self.top), "site.lua", PARAM_SITE))
        for query in ("mode=a+b", "mode=a%20b"):
            slot = server.get(f"/v1/page/home?user=u1&{query}")["slots"][0]
            chosen = [i["category"] for i in slot["items"] if not slot.get("fallback")]
            self.assertEqual(set(chosen) | {"cat1"}, {"cat1"})
        self.assertGreater(len({i["category"] for i in server.get("/v1/page/home?user=u1")["slots"][0]["items"]}), 1)

    def test_a_broken_policy_is_left_out_and_named(self):
        server = self.serve(site=write(tempfile.mkdtemp(dir=self.top), "site.lua", FAILING_SITE))
        for _ in range(50):
            page = server.get("/v1/page/home?user=u1")
            self.assertIn("this policy is broken", page["degraded"])
            self.assertTrue(ids(page))
        metrics = server.metrics()
        self.assertEqual(metrics["moonshelf_pages_degraded_total"], 50)
        self.assertGreaterEqual(metrics['moonshelf_policy_errors_total{kind="error"}'], 50)
        self.assertEqual(server.stop().count("this policy is broken"), 1)  # not a line a page


class Events(Base):
    def test_the_next_page_knows(self):
        server = self.serve()
        self.assertEqual(server.post(view("new-one", "i30")), {"accepted": 1})
        self.assertFalse(server.get("/v1/page/home?user=new-one")["cold"])
        self.assertEqual(server.history("new-one"), ["i30"])
        self.assertEqual(server.post([view("new-one", "i31"), view("new-one", "i32")]), {"accepted": 2})
        self.assertEqual(server.post({"events": [view("new-one", "i34")]}), {"accepted": 1})
        self.assertEqual(server.history("new-one"), ["i34", "i32", "i31", "i30"])
        self.assertEqual(server.post([]), {"accepted": 0})
        server.stop()

    def test_everything_wrong_is_named_and_nothing_is_taken(self):
        server = self.serve()
        before = server.get("/healthz")["events"]
        error = server.post([view("a", "i1"), view("a", "i99"), {"user": 7, "event": "view"}, 3, view("a", "i1", time=5)], 422)["error"]
        self.assertEqual(error["code"], "invalid_events")
        self.assertEqual([(p["index"], p.get("field")) for p in error["problems"]],
                         [(1, "item"), (2, "user"), (2, "item"), (3, None), (4, "time")])
        self.assertEqual(error["problems"][0]["value"], "i99")
        self.assertIn("day in the future", server.post(view("a", "i1", time="2999-01-01"), 422)["error"]["problems"][0]["message"])
        for body in ("", "{", "7", '{"events": 3}', b"\xff\xfe", "[" * 100000):
            self.assertEqual(server.post(body, 400)["error"]["code"], "bad_request", body[:20])
        server.post([view("a", "i1")] * 1001, 413)
        self.assertEqual(server.get("/healthz")["events"], before)
        self.assertTrue(server.get("/v1/page/home?user=a")["cold"])
        server.stop()

    def test_only_our_own_pages_may_post(self):
        server = self.serve()
        body, own = json.dumps(view("a", "i1")), f"127.0.0.1:{server.port}"
        self.assertEqual(server.ask("POST", "/v1/events", body, {"origin": "http://evil.example"})[0], 403)
        self.assertEqual(server.ask("POST", "/v1/events", body, {"origin": "null"})[0], 403)
        self.assertEqual(server.ask("POST", "/v1/events", body, {"origin": "http://" + own})[0], 200)

    def test_an_id_counts_once_also_after_a_restart(self):
        log = self.log_path()
        server = self.serve(log=log)
        before = server.get("/healthz")["events"]
        self.assertEqual(server.post(view("a", "i1", id="x")), {"accepted": 1})
        self.assertEqual(server.post([view("a", "i1", id="x"), view("a", "i2", id="y"), view("a", "i2", id="y")]), {"accepted": 3, "duplicates": 2})
        self.assertEqual(server.get("/healthz")["events"], before + 2)
        server.stop()
        server = self.serve(log=log)
        self.assertEqual(server.get("/healthz")["events"], before + 2)
        self.assertEqual(server.post(view("a", "i1", id="x")), {"accepted": 1, "duplicates": 1})
        self.assertEqual(server.get("/healthz")["events"], before + 2)
        server.stop()

    def test_a_kill_loses_nothing_acknowledged(self):
        log = self.log_path()
        server = self.serve(log=log)
        accepted, lock = [], threading.Lock()

        def send(worker):
            for i in range(1000):
                event = view(f"w{worker}", f"i{i % 16}", id=f"{worker}-{i}")
                try:
                    server.post(event)
                except (OSError, http.client.HTTPException):
                    return
                with lock:
                    accepted.append(event)

        workers = [threading.Thread(target=send, args=(n,)) for n in range(6)]
        for worker in workers:
            worker.start()
        while len(accepted) < 200 and any(w.is_alive() for w in workers):
            time.sleep(0.005)
        server.stop(signal.SIGKILL, -signal.SIGKILL)
        for worker in workers:
            worker.join()
        self.assertGreaterEqual(len(accepted), 200)
        server = self.serve(log=log)
        for start in range(0, len(accepted), 500):
            part = accepted[start:start + 500]
            self.assertEqual(server.post(part), {"accepted": len(part), "duplicates": len(part)})
        newest = [e for e in accepted if e["user"] == "w0"][-1]
        self.assertIn(newest["item"], server.history("w0")[:2])  # one more may have been stored without its answer reaching us
        server.stop()

    def test_a_restart_gives_the_same_pages(self):
        log, rng = self.log_path(), random.Random(4)
        server = self.serve("--clock", "data", log=log)
        for _ in range(20):
            server.post([view(f"u{rng.randrange(70)}", f"i{rng.randrange(50)}") for _ in range(20)])
        users = [f"u{n}" for n in range(0, 70, 7)]
        before = [ids(server.get(f"/v1/page/home?user={user}")) for user in users]
        server.stop()
        server = self.serve("--clock", "data", log=log)
        self.assertEqual(before, [ids(server.get(f"/v1/page/home?user={user}")) for user in users])
        server.stop()

    def test_without_a_log_events_die_with_the_server(self):
        server = self.serve()
        server.post(view("gone", "i1"))
        server.stop()
        self.assertTrue(self.serve().get("/v1/page/home?user=gone")["cold"])

    def test_the_log_stands_beside_the_bundle(self):
        bundle = os.path.join(tempfile.mkdtemp(dir=self.top), "b")
        shutil.copytree(self.bundle, bundle)
        server = Server(self.site, bundle)
        server.post(view("a", "i1"))
        server.stop()
        self.assertTrue(os.path.exists(bundle + ".events.db"))

    def test_the_data_clock_takes_times_of_the_data(self):
        server = self.serve("--clock", "data")
        self.assertIn("future", server.post(view("a", "i1", time=int(time.time() * 1e6)), 422)["error"]["message"] + json.dumps(
            server.post(view("a", "i1", time=int(time.time() * 1e6)), 422)))
        server.post(view("a", "i1"))
        server.stop()


class Around(Shared):
    def test_health_readiness_users_and_items(self):
        health = self.server.get("/healthz")
        self.assertEqual((health["status"], health["bundle"], health["items"], health["users"]), ("ok", "shoplet", 50, 60))
        self.assertEqual(self.server.get("/readyz"), {"status": "ready"})
        users = self.server.get("/v1/users?limit=20")
        self.assertEqual((len(set(users["users"])), users["total"]), (20, 60))
        self.assertEqual(users, self.server.get("/v1/users?limit=20"))
        self.assertEqual(len(self.server.get("/v1/users?limit=1000")["users"]), 60)
        for bad in ("0", "1001", "x", "-1", ""):
            self.server.get("/v1/users?limit=" + bad, 400)
        item = self.server.get("/v1/items/i3")
        self.assertEqual((item["id"], item["title"], item["category"]), ("i3", 'Thing "3", fine', "cat3"))
        self.server.get("/v1/items/i99", 404)

    def test_unknown_paths_and_methods(self):
        self.assertIn("/v1/events", self.server.get("/v1/evnts", 404)["error"]["message"])
        self.assertIn("/v1/page/<surface>", self.server.get("/v1/pages/home", 404)["error"]["message"])
        for path in ("/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/app.js/", "//", "/style.css%00"):
            self.assertIn(self.server.ask("GET", path)[0], (400, 404), path)
        status, headers, body = self.server.ask("GET", "/v1/events")
        self.assertEqual((status, headers["allow"], json.loads(body)["error"]["code"]), (405, "POST", "method_not_allowed"))
        status, headers, _ = self.server.ask("DELETE", "/v1/page/home")
        self.assertEqual((status, headers["allow"]), (405, "GET, HEAD"))

    def test_answers_carry_what_clients_need(self):
        status, headers, body = self.server.ask("GET", "/v1/page/home")
        self.assertEqual((status, headers["content-type"], headers["cache-control"]), (200, "application/json", "no-store"))
        self.assertEqual(int(headers["content-length"]), len(body))
        status, head, body = self.server.ask("HEAD", "/v1/page/home")
        self.assertEqual((status, head["content-length"], body), (200, headers["content-length"], b""))
        self.assertTrue(headers["date"].endswith(" GMT"))

    def test_the_storefront_is_there_and_shut_tight(self):
        for path, kind in (("/", "text/html"), ("/app.js", "text/javascript"), ("/style.css", "text/css")):
            status, headers, body = self.server.ask("GET", path)
            self.assertEqual(status, 200)
            self.assertTrue(headers["content-type"].startswith(kind))
            self.assertIn("default-src 'none'", headers["content-security-policy"])
            self.assertEqual(headers["x-content-type-options"], "nosniff")
            self.assertGreater(len(body), 500)
            again = self.server.ask("GET", path, headers={"if-none-match": headers["etag"]})
            self.assertEqual((again[0], again[2]), (304, b""))
        page = self.server.ask("GET", "/")[2].decode()
        self.assertNotRegex(page, r"<script(?![^>]*src=)|\son\w+=|style=\"")
        self.assertNotRegex(page, r"(src|href)=\"(https?:)?//")
        self.assertNotIn("innerHTML", self.server.ask("GET", "/app.js")[2].decode())

    def test_the_state_keeps_to_its_memory(self):
        server = Server(self.site, self.bundle, "--event-log", "none", "--state-memory", "3M")
        self.addCleanup(server.stop)
        for i in range(60):
            server.post([view(f"visitor-{i}-{k}", f"i{k % 16}") for k in range(1000)])
        read = server.metrics()
        self.assertLessEqual(read["moonshelf_state_bytes"], 3 << 20)
        self.assertGreater(read["moonshelf_state_users_dropped"], 1000)
        known = server.get("/v1/users?limit=1000")
        self.assertEqual(read["moonshelf_state_users"], known["total"])
        self.assertTrue(known["users"] and all(known["users"]))
        self.assertEqual(server.get("/v1/page/home?user=visitor-59-999")["cold"], False)

    def test_metrics_count(self):
        before = self.server.metrics()
        for _ in range(5):
            self.server.get("/v1/page/home?user=u1")
        self.server.get("/v1/page/nowhere-near", 404)
        self.server.post([view("m", "i1"), view("m", "i2")])
        after = self.server.metrics()

        def grew(name):
            return after.get("moonshelf_" + name, 0) - before.get("moonshelf_" + name, 0)

        self.assertEqual(grew('http_requests_total{route="/v1/page/<surface>",code="200"}'), 5)
        self.assertEqual(grew('http_requests_total{route="/v1/page/<surface>",code="404"}'), 1)
        self.assertEqual(grew('http_requests_total{route="/v1/events",code="200"}'), 1)
        self.assertEqual(grew("events_accepted_total"), 2)
        self.assertEqual(grew("state_events"), 2)
        self.assertEqual(grew("page_seconds_count"), 5)
        self.assertEqual(after['moonshelf_page_seconds_bucket{le="+Inf"}'], after["moonshelf_page_seconds_count"])
        self.assertEqual(grew("connections_accepted_total"), 8)


class Protocol(Shared):
    def test_one_connection_many_requests(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=10)
        connection.connect()
        sock = connection.sock
        for n in range(50):
            if n % 3:
                connection.request("GET", f"/v1/page/home?user=u{n}")
            else:
                connection.request("POST", "/v1/events", json.dumps(view("k", "i1")))
            answer = connection.getresponse()
            self.assertEqual(answer.status, 200)
            answer.read()
            self.assertIs(connection.sock, sock)
        connection.close()

    def test_pipelined_requests_are_answered_in_order(self):
        parts = []
        for n in range(40):
            parts.append(request("/v1/events", "POST", json.dumps(view(f"pipe{n}", "i7")).encode()))
            parts.append(request(f"/v1/page/history?user=pipe{n}"))
            parts.append(request(f"/v1/items/i{n}"))
        got = answers(self.server.raw(b"".join(parts)))
        self.assertEqual([status for status, _, _ in got], [200] * 120)
        for n in range(40):
            page = json.loads(got[3 * n + 1][2])
            self.assertEqual((page["user"], ids(page)), (f"pipe{n}", ["i7"]))  # what was said before is known
            self.assertEqual(json.loads(got[3 * n + 2][2])["id"], f"i{n}")

    def test_requests_may_come_in_crumbs(self):
        body = json.dumps(view("crumb", "i1")).encode()
        with self.server.connect() as sock:
            for byte in request("/v1/events", "POST", body, "Connection: close\r\n"):
                sock.sendall(bytes([byte]))
            self.assertEqual(answers(read_all(sock))[0][0], 200)

    def test_chunked_bodies(self):
        body = json.dumps(view("chunky", "i1")).encode()
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 7]), body[i:i + 7]) for i in range(0, len(body), 7)) + b"0\r\n\r\n"
        head = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        got = answers(self.server.raw(head + chunks + request("/healthz")))
        self.assertEqual([status for status, _, _ in got], [200, 200])
        self.assertEqual(json.loads(got[0][2]), {"accepted": 1})
        many = b"%x\r\n%s\r\n" % (4000, b"x" * 4000)
        self.assertEqual(answers(self.server.raw(head + many + many))[0][0], 413)

    def test_too_much_of_anything(self):
        for data, status in ((request("/" + "a" * 8192), 414), (request("/", more="X: " + "a" * 17000 + "\r\n"), 431),
                             (request("/v1/events", "POST", b"x" * 5001), 413), (request("/v1/events", "POST", b"x" * 3000000), 413)):
            status_got, headers, body = answers(self.server.raw(data))[0]
            self.assertEqual(status_got, status)
            self.assertEqual(headers["connection"], "close")
            self.assertEqual(json.loads(body)["error"]["code"], "too_large")
        self.assertEqual(answers(self.server.raw(request("/" + "a" * 8191)))[0][0], 404)

    def test_continue_is_said(self):
        body = json.dumps(view("patient", "i1")).encode()
        with self.server.connect() as sock:
            sock.sendall(f"POST /v1/events HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n".encode())
            self.assertEqual(sock.recv(100), b"HTTP/1.1 100 Continue\r\n\r\n")
            sock.sendall(body)
            sock.shutdown(socket.SHUT_WR)
            self.assertEqual(answers(read_all(sock))[0][0], 200)

    def test_what_is_not_http_is_400_and_the_end(self):
        smuggled = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + request("/healthz")
        for data in (b"nonsense\r\n\r\n", b"\x16\x03\x01\x00\xff", smuggled, b"GET / HTTP/1.1\r\n\r\n", b"GET /\r\nHost: x\r\n\r\n"):
            got = answers(self.server.raw(data))
            self.assertEqual(len(got), 1, data)
            self.assertIn(got[0][0], (400, 505), data)
            self.assertEqual(got[0][1]["connection"], "close")

    def test_old_clients(self):
        got = answers(self.server.raw(b"GET /healthz HTTP/1.0\r\n\r\n" + b"GET /healthz HTTP/1.0\r\n\r\n"))
        self.assertEqual([(status, headers["connection"]) for status, headers, _ in got], [(200, "close")])

    def test_random_bytes_do_no_harm(self):
        rng = random.Random(8)
        for _ in range(150):
            data = bytearray(request(f"/v1/page/home?user=u{rng.randrange(60)}") * 2 + request("/v1/events", "POST", b'{"user":"u","item":"i1"}'))
            for _ in range(rng.randrange(1, 8)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            with self.server.connect() as sock:
                sock.sendall(data[:rng.randrange(1, len(data))])
                if rng.random() < 0.5:
                    sock.shutdown(socket.SHUT_WR)
                    read_all(sock)
        self.assertEqual(self.server.get("/healthz")["status"], "ok")

    def test_many_threads_get_only_200(self):
        wrong = []

        def load(worker):
            connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
            for n in range(250):
                if n % 5 == 4:
                    connection.request("POST", "/v1/events", json.dumps([view(f"t{worker}", f"i{n % 40}")] * 3))
                else:
                    connection.request("GET", f"/v1/page/{('home', 'cart', 'home')[n % 3]}?user=u{(worker * 31 + n) % 60}&items=i1")
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != 200:
                    wrong.append((answer.status, body))
            connection.close()

        workers = [threading.Thread(target=load, args=(n,)) for n in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        self.assertEqual(wrong, [])


class Limits(Base):
    def test_one_connection_too_many_is_503(self):
        server = self.serve("--max-connections", "3")
        held = [server.connect() for _ in range(3)]
        for sock in held:
            sock.sendall(request("/healthz"))
            self.assertTrue(sock.recv(4096).startswith(b"HTTP/1.1 200"))
        with server.connect() as sock:
            status, headers, body = answers(read_all(sock))[0]
            self.assertEqual((status, headers["retry-after"], json.loads(body)["error"]["code"]), (503, "1", "unavailable"))
        for sock in held:
            sock.close()
        deadline = time.monotonic() + 5
        while server.ask("GET", "/healthz")[0] != 200:
            self.assertLess(time.monotonic(), deadline)
        server.stop()

    def test_slow_and_idle_clients_are_let_go(self):
        server = self.serve("--request-timeout", "1", "--idle-timeout", "1")
        with server.connect() as slow, server.connect() as idle, server.connect() as body:
            slow.sendall(b"GET / HTT")
            body.sendall(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
            start = time.monotonic()
            for n in range(6):  # a drop now and then does not help
                time.sleep(0.25)
                try:
                    slow.sendall(b"P/1.1\r\nX: a"[n:n + 1])
                except OSError:
                    break
            self.assertEqual(answers(read_all(slow))[0][0], 408)
            self.assertEqual(answers(read_all(body))[0][0], 408)
            self.assertEqual(read_all(idle), b"")
            self.assertLess(time.monotonic() - start, 8)
        server.stop()

    def test_a_client_that_does_not_read_is_let_go(self):
        server = self.serve("--request-timeout", "1")
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            sock.settimeout(5)
            sock.connect(("127.0.0.1", server.port))
            try:
                for _ in range(3000):
                    sock.sendall(request("/v1/page/home?user=u1&explain=1"))
            except OSError:  # the server took no more, or has closed
                pass
            deadline = time.monotonic() + 15
            while server.metrics()["moonshelf_connections"] > 1:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.1)
        server.stop()


class Life(Base):
    def test_a_busy_port_is_1_with_advice(self):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            message = run("serve", self.site, "--bundle", self.bundle, "--port", str(port), ok=1).stderr
            self.assertIn(f"127.0.0.1:{port} is in use", message)
            self.assertIn("--port 0", message)

    def test_what_cannot_start_says_why(self):
        def fails(*args, ok=1):
            return run("serve", *args, "--port", "0", ok=ok).stderr

        self.assertIn("no-such", fails(self.site, "--bundle", os.path.join(self.top, "no-such")))
        self.assertIn("nowhere.lua", fails("nowhere.lua", "--bundle", self.bundle))
        self.assertIn("not an IP address", fails(self.site, "--bundle", self.bundle, "--address", "shop.example"))
        self.assertIn("wall or data", fails(self.site, "--bundle", self.bundle, "--clock", "sun", ok=2))
        log = self.log_path()
        write(os.path.dirname(log), "events.db", "This is no database. " * 100)
        message = fails(self.site, "--bundle", self.bundle, "--event-log", log)
        self.assertIn(log, message)
        self.assertIn("broken", message)
        self.assertIn("/no/such/dir", fails(self.site, "--bundle", self.bundle, "--event-log", "/no/such/dir/events.db"))

    def test_two_servers_do_not_share_a_log(self):
        log = self.log_path()
        self.serve(log=log)
        self.assertIn("in use", run("serve", self.site, "--bundle", self.bundle, "--port", "0", "--event-log", log, ok=1).stderr)

    def test_signals_end_it_with_0(self):
        for how in (signal.SIGTERM, signal.SIGINT):
            server = self.serve()
            with server.connect() as idle:  # an idle connection does not hold it up
                idle.sendall(request("/healthz"))
                idle.recv(4096)
                start = time.monotonic()
                server.stop(how)
                self.assertLess(time.monotonic() - start, 5)

    def test_what_is_in_flight_is_finished(self):
        log = self.log_path()
        server = self.serve(log=log)
        half = server.connect()
        body = json.dumps(view("late", "i9")).encode()
        whole = request("/v1/events", "POST", body)
        half.sendall(whole[:-5])
        workers, got = [], []

        def send(worker):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
            try:
                for n in range(100000):
                    connection.request("POST", "/v1/events", json.dumps(view(f"d{worker}", "i3", id=f"d{worker}-{n}")))
                    answer = connection.getresponse()
                    answer.read()
                    got.append((answer.status, f"d{worker}-{n}"))
                    if answer.getheader("connection") == "close":
                        return
            except (OSError, http.client.HTTPException):
                pass

        for n in range(4):
            workers.append(threading.Thread(target=send, args=(n,)))
            workers[-1].start()
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        half.sendall(whole[-5:])
        status, headers, _ = answers(read_all(half))[0]
        self.assertEqual((status, headers["connection"]), (200, "close"))
        half.close()
        for worker in workers:
            worker.join()
        server.stop(how=None)
        self.assertEqual({status for status, _ in got}, {200})
        server = self.serve(log=log)
        sent = [view("again", "i3", id=name) for _, name in got]
        for start in range(0, len(sent), 1000):
            part = sent[start:start + 1000]
            self.assertEqual(server.post(part).get("duplicates"), len(part))
        self.assertEqual(server.history("late"), ["i9"])
        server.stop()

    def test_a_second_signal_ends_it_at_once(self):
        server = self.serve()
        with server.connect() as half:
            half.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")  # would be waited for
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            self.assertIsNone(server.process.poll())
            start = time.monotonic()
            server.stop(signal.SIGTERM, -signal.SIGTERM)
            self.assertLess(time.monotonic() - start, 2)

    def test_logs_name_no_visitors(self):
        server = self.serve()
        server.get("/v1/page/home?user=secret-visitor")
        server.post(view("secret-visitor", "i1"))
        server.post(view("secret-visitor", "i999"), 422)
        self.assertNotIn("secret-visitor", server.stop())


if __name__ == "__main__":
    unittest.main()
