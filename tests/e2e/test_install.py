"""What `cmake --install` puts down is enough: programs in C build against it three ways, and a stock Lua loads the module."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import shoplet

BUILD = os.environ["MOON_BUILD_DIR"]
EMBED = os.path.join(os.environ["MOON_SOURCE_DIR"], "examples", "embed")


def sanitized():
    with open(os.path.join(BUILD, "CMakeCache.txt"), encoding="utf-8") as file:
        return any(line.startswith("MOON_SANITIZE:") and line.strip().split("=", 1)[1] for line in file)


def sh(*args, **kwargs):
    done = subprocess.run(args, capture_output=True, text=True, timeout=120, **kwargs)
    if done.returncode:
        raise AssertionError(f"{' '.join(args)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.top = tempfile.mkdtemp(prefix="moonshelf-install-")
        cls.addClassCleanup(shutil.rmtree, cls.top)
        first = os.path.join(cls.top, "first")
        sh("cmake", "--install", BUILD, "--prefix", first)
        cls.prefix = os.path.join(cls.top, "moved")
        os.rename(first, cls.prefix)  # nothing installed may remember where it was put
        cls.data, cls.bundle = os.path.join(cls.top, "data"), os.path.join(cls.top, "bundle")
        os.mkdir(cls.data)
        _, cls.site = shoplet.make(cls.data)
        shoplet.train(cls.data, cls.bundle)

    def find(self, name):
        for folder, _, files in os.walk(self.prefix):
            if name in files:
                return folder
        raise AssertionError(f"{name} is not installed")

    def flags(self, *options):
        return sh("pkg-config", *options, "moonshelf", env={**os.environ, "PKG_CONFIG_PATH": self.find("moonshelf.pc")}).split()

    def build(self, name, *flags):
        program = os.path.join(self.top, name)
        sh("cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-o", program, os.path.join(EMBED, name + ".c"), *flags, "-pthread")
        return program

    def run_there(self, *args):
        return sh(*args, env={**os.environ, "LD_LIBRARY_PATH": self.find("libmoonshelf.so")})

    def check_page(self, out):
        self.assertIn("home\n", out)
        self.assertRegex(out, r"For you\n  i\d+ +\d\.\d{3}  \w")
        self.assertIn("bytes of JSON", out)

    def test_pkg_config(self):
        flags = self.flags("--cflags", "--libs")
        self.check_page(self.run_there(self.build("page", *flags), self.bundle, self.site, "u1"))

    def test_rank(self):
        program = self.build("rank", *self.flags("--cflags", "--libs"))
        lines = self.run_there(program, self.bundle, self.site, "u1", "i1", "i2", "nothing", "i3").splitlines()
        self.assertEqual(sorted(line.split()[0] for line in lines), ["i1", "i2", "i3", "nothing"])
        self.assertEqual(lines[-1].split(None, 1), ["nothing", "is not in the bundle"])
        scores = [float(line.split()[1]) for line in lines[:-1]]
        self.assertEqual(scores, sorted(scores, reverse=True))

    def test_events_are_kept(self):
        program, log = self.build("events", *self.flags("--cflags", "--libs")), os.path.join(self.top, "kept.db")
        self.assertEqual(self.run_there(program, self.bundle, self.site, log, "u1", "i1", "i2"), "100 pages, 2 new events, 0 of before\n")
        self.assertEqual(self.run_there(program, self.bundle, self.site, log, "u1", "i3"), "100 pages, 1 new events, 2 of before\n")

    def test_pkg_config_static(self):
        flags = ["-l:libmoonshelf.a" if flag == "-lmoonshelf" else flag for flag in self.flags("--static", "--cflags", "--libs")]
        program = self.build("page", *flags)
        self.check_page(sh(program, self.bundle, self.site))
        self.assertNotIn("libmoonshelf", sh("ldd", program))

    def test_find_package(self):
        build = os.path.join(self.top, "by-cmake")
        sh("cmake", "-S", EMBED, "-B", build, f"-DCMAKE_PREFIX_PATH={self.prefix}")
        sh("cmake", "--build", build)
        self.check_page(sh(os.path.join(build, "page"), self.bundle, self.site))

    def test_python(self):
        library = os.path.join(self.find("libmoonshelf.so"), "libmoonshelf.so")
        before, after = sh(sys.executable, os.path.join(EMBED, "page.py"), library, self.bundle, self.site, "newcomer", "i45").splitlines()
        self.assertTrue(before.startswith("cold"), before)
        self.assertIn("'recent': ['i45'", after)
        self.assertTrue(after.startswith("known"), after)

    def lua(self, *args, ok=True):
        environment = {**os.environ, "LUA_CPATH": os.path.join(self.find("moonshelf.so"), "?.so")}
        done = subprocess.run(["lua5.4", *args], capture_output=True, text=True, timeout=120, env=environment)
        self.assertEqual(done.returncode == 0, ok, done.stderr)
        return done.stdout if ok else done.stderr

    def test_lua(self):
        out = self.lua(os.path.join(EMBED, "page.lua"), self.bundle, self.site, "newcomer", "i45")
        before, after = out.split("== after the view")
        self.assertIn("a new visitor", before)
        self.assertRegex(after, r"recent\ti45 ")
        self.assertRegex(after, r"i\d+ +0\.\d{4}\n")
        self.assertIn("2 pages, 1 event\n", after)

    def test_lua_says_what_is_wrong(self):
        start = f'local s = require("moonshelf.runtime").open {{ bundle = "{self.bundle}", site = "{self.site}" }} '
        for code, text in (('s:page { user = 7 }', "'user' must be a string"), ('s:page { sufrace = "home" }', "there is no field 'sufrace'"),
                           ('s:page { surface = "hone" }', "home"), ('s:page { cart = { "i1", {} } }', "[2] is a table"),
                           ('s:event { user = "u1", event = "view" }', "its item is NULL"), ('s:events { { user = "u", item = "i1", event = "view" }, 3 }', "event 2 is a number"),
                           ('s:reload { site = "/no.lua" }', "/no.lua"), ('s:close() s:close() s:page()', "the runtime is closed"),
                           ('require("moonshelf.runtime").open { bundle = "/none", site = "x" }', "/none"), ('s.page(io.stdout)', "moonshelf.runtime")):
            self.assertIn(text, self.lua("-e", start + code, ok=False), code)

    def test_both_modules_live_in_one_lua(self):
        out = self.lua("-e", f'local m, r = require "moonshelf", require "moonshelf.runtime" local s = r.open {{ bundle = "{self.bundle}", site = "{self.site}" }} '
                             'local t = m.tensor and 1 print(#s:json() > 100, #s:text() > 100, m.version == r.version, s:reload { site = ' f'"{self.site}"' ' } == nil, s:page().edition) '
                             'for _ = 1, 50 do local again = s:page { user = "u1" } collectgarbage "step" assert(#again.slots > 0) end')
        self.assertEqual(out.split(), ["true", "true", "true", "true", "2"])

    def test_wrong_use_is_said_in_words(self):
        program = self.build("page", *self.flags("--cflags", "--libs"))
        environment = {**os.environ, "LD_LIBRARY_PATH": self.find("libmoonshelf.so")}
        for args, code, text in (([], 2, "usage"), ([self.top, self.site], 1, "manifest.json"), ([self.bundle, self.bundle + "/no.lua"], 1, "no.lua")):
            done = subprocess.run([program, *args], capture_output=True, text=True, timeout=60, env=environment)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(text, done.stderr)

    def test_examples_are_short(self):
        for name in os.listdir(EMBED):
            if name.endswith((".c", ".py", ".lua")):
                with open(os.path.join(EMBED, name), encoding="utf-8") as file:
                    self.assertLess(len(file.readlines()), 75 if name.endswith(".py") else 60, name)

    def test_the_library_exports_what_the_headers_declare(self):
        declared = set()
        include = self.find("moonshelf.h")
        for header in os.listdir(os.path.join(include, "moonshelf")):
            with open(os.path.join(include, "moonshelf", header), encoding="utf-8") as file:
                declared |= set(re.findall(r"^MOON_API [^(;]*?\b(moon_\w+)\(", file.read(), re.M))
        lines = sh("nm", "-D", "--defined-only", os.path.join(self.find("libmoonshelf.so"), "libmoonshelf.so")).splitlines()
        exported = {name.split("@")[0] for _, kind, name in (line.split() for line in lines) if kind != "A"}
        self.assertGreater(len(declared), 60)
        self.assertEqual(exported, declared)

    def test_stock_lua_loads_the_module(self):
        module = self.find("moonshelf.so")
        script = ('local m = require "moonshelf" local text = m.plan(m.site { home = m.page { m.slot "s" { from = m.source.popular(5) } } }) '
                  'assert(text:find("popular", 1, true)) print(m.version)')
        out = sh("lua5.4", "-e", script, env={**os.environ, "LUA_CPATH": os.path.join(module, "?.so")})
        self.assertRegex(out, r"^\d+\.\d+\.\d+$")

    def test_the_command_is_there_and_works(self):
        command = os.path.join(self.find("moonshelf"), "moonshelf")
        self.assertIn("Trending", sh(command, "page", self.site, "--bundle", self.bundle))

    def test_headers_are_only_the_public_ones(self):
        include = self.find("moonshelf.h")
        self.assertEqual(sorted(os.listdir(include)), ["moonshelf", "moonshelf.h"])
        for header in ["moonshelf.h"] + ["moonshelf/" + name for name in os.listdir(os.path.join(include, "moonshelf"))]:
            source = os.path.join(self.top, "one.c")
            with open(source, "w", encoding="utf-8") as file:
                file.write(f'#include "{header}"\n')
            sh("cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only", "-I" + include, source)


if __name__ == "__main__":
    if sanitized():
        sys.exit(77)  # a sanitized library does not load into plain programs
    unittest.main()
