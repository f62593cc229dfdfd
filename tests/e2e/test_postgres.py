"""m.postgres against a server of its own, where Debian's PostgreSQL is installed (postgresql-15) and libpq was found by the build."""
import filecmp
import glob
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import unittest

import shoplet

BINARIES = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
ROOT = os.geteuid() == 0


def server_user():
    """initdb refuses to run as root."""
    try:
        return pwd.getpwnam("postgres") if ROOT else pwd.getpwuid(os.geteuid())
    except KeyError:
        return None


class Postgres(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="moonshelf-pg-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        os.chown(cls.folder, server_user().pw_uid, server_user().pw_gid)
        os.chmod(cls.folder, 0o755)
        cls.pg("initdb", "-D", f"{cls.folder}/db", "-A", "trust", "-U", "shop", "-E", "UTF8", "--no-sync")
        cls.pg("pg_ctl", "-D", f"{cls.folder}/db", "-w", "-l", f"{cls.folder}/log", "-o", f"-k {cls.folder} -c listen_addresses=''", "start")
        cls.addClassCleanup(cls.pg, "pg_ctl", "-D", f"{cls.folder}/db", "-m", "immediate", "stop")
        cls.place = f"host={cls.folder} dbname=postgres user=shop"
        cls.data = tempfile.mkdtemp(prefix="moonshelf-pg-shop-")
        cls.addClassCleanup(shutil.rmtree, cls.data, ignore_errors=True)
        shoplet.make(cls.data)
        with open(os.path.join(cls.data, "events.csv"), encoding="utf-8") as file:
            cls.sql("create table events (timestamp bigint, user_id text, item_id text, event text);"
                    "create table odd (id int, at timestamptz, day timestamp, price numeric, sold bool, raw bytea, big float8);"
                    "insert into odd values (7, '2026-11-24 12:00+02', '2026-11-24 10:00', 12.50, true, '\\x00', 1e300),"
                    "(8, 'infinity', null, null, false, null, 'nan')")
            cls.sql("copy events from stdin with (format csv, header)", file.read())

    @classmethod
    def pg(cls, program, *args, text=None):
        as_user = ["runuser", "-u", server_user().pw_name, "--"] if ROOT else []
        with tempfile.TemporaryFile("w+") as said:  # a file: the server that pg_ctl starts would hold a pipe open
            done = subprocess.run([*as_user, os.path.join(BINARIES[-1], program), *args], input=text or "", text=True, stdout=said, stderr=said,
                                  cwd="/", timeout=60, check=False)
            said.seek(0)
            if done.returncode:
                raise RuntimeError(f"{program}: {said.read()}")

    @classmethod
    def sql(cls, query, text=None):
        cls.pg("psql", "-h", cls.folder, "-U", "shop", "-d", "postgres", "-v", "ON_ERROR_STOP=1", "-c", query, text=text)

    def recipe(self, events):
        """The shoplet's recipe with other events."""
        with open(os.path.join(self.data, "recipe.lua"), encoding="utf-8") as file:
            old = file.read()
        csv = 'm.csv "events.csv" { user = "user_id", item = "item_id", event = "event", time = "timestamp" }'
        self.assertIn(csv, old)
        return shoplet.write(self.data, "pg.lua", old.replace(csv, events))

    def check(self, events, ok=1):
        return shoplet.run("check", self.recipe(events), "--data", self.data, ok=ok).stderr

    def postgres(self, what, columns='user = "user_id", item = "item_id", event = "event", time = "timestamp:time_s"'):
        return f'm.postgres "{self.place}" {{ {what}, {columns} }}'

    def test_a_table_trains_the_model_that_its_csv_trains(self):
        bundles = []
        for recipe in (os.path.join(self.data, "recipe.lua"), self.recipe(self.postgres('query = "select * from events"'))):
            bundles.append(os.path.join(self.data, os.path.basename(recipe) + ".out"))
            shoplet.run("train", recipe, "--data", self.data, "--out", bundles[-1])
        self.assertTrue(filecmp.cmp(*(os.path.join(bundle, "model.safetensors") for bundle in bundles), shallow=False))

    def test_types_are_the_servers(self):
        columns = 'user = "id", item = "sold", time = "at", price = "price", day = "day", big = "big", event = "sold"'
        kinds = "select odd.*, id + n as who, k from odd, (values (0, 'view'), (0, 'purchase'), (1, 'view')) as kinds(n, k) where id = 7"
        named = columns.replace('event = "sold"', 'event = "k"').replace('user = "id"', 'user = "who"')
        self.check(self.postgres(f'query = "{kinds}"', named), ok=0)
        self.assertIn("postgres:1: column big: 'NaN' is not a number",
                      self.check(self.postgres('query = "select * from odd where id = 8"', columns.replace('"at"', '"day"'))))
        columns = columns.replace('"big"', '"id"')
        self.assertIn("postgres:2: column at: 'infinity' is not a time", self.check(self.postgres('table = "odd"', columns)))
        self.assertIn("a blob is not a single value", self.check(
            self.postgres('table = "odd"', 'user = "raw", item = "id", event = "id", time = "at"')))

    def test_mistakes_are_told(self):
        for what, message in (('table = "evens"', 'relation "evens" does not exist'), ('query = "delete from events"', "read-only"),
                              ('query = "select 1; select 2"', "multiple commands"), ('query = "select 1 as user_id"', "no column")):
            self.assertIn(message, self.check(self.postgres(what)))
        self.assertIn("did you mean 'user_id'?", self.check(self.postgres(
            'table = "events"', 'user = "user_ids", item = "item_id", event = "event", time = "timestamp"')))
        self.place += " password=secret"
        message = self.check(self.postgres('table = "events"'))
        self.assertIn(".pgpass", message)
        self.assertNotIn("secret", message)
        self.place = "host=/nowhere dbname=x"
        self.assertIn("pg.lua:3: error: postgres: connection to server", self.check(self.postgres('table = "events"')))


if __name__ == "__main__":
    linked = subprocess.run(["ldd", os.environ["MOONSHELF"]], capture_output=True, text=True, check=False).stdout
    if not BINARIES or not server_user() or "libpq" not in linked:
        print("skipped: no PostgreSQL server here, or a build without libpq")
        sys.exit(77)
    unittest.main()
