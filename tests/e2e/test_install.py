"""What `cmake --install` puts down is enough: programs in C build against it three ways, and a stock Lua loads the module."""
import os
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

    def check(self, program, *args, libraries=None):
        """Runs the program: two pages for somebody new, and the second one knows what was looked at between them."""
        environment = {**os.environ, "LD_LIBRARY_PATH": libraries} if libraries else os.environ
        out = sh(program, self.bundle, self.site, "newcomer", "i45", *args, env=environment)
        before, after = out.split("== after the view")
        self.assertIn("== before", before)
        self.assertIn("a new visitor", before)
        self.assertNotIn('Thing "45"', before)
        self.assertNotIn("a new visitor", after)
        self.assertRegex(after, r'Thing "45", fine .* recent\n')
        self.assertIn("bytes of JSON", after)

    def test_pkg_config(self):
        program = os.path.join(self.top, "by-pkg-config")
        sh("cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-o", program, os.path.join(EMBED, "main.c"), *self.flags("--cflags", "--libs"))
        self.check(program, libraries=self.find("libmoonshelf.so"))

    def test_pkg_config_static(self):
        program = os.path.join(self.top, "static")
        flags = ["-l:libmoonshelf.a" if flag == "-lmoonshelf" else flag for flag in self.flags("--static", "--cflags", "--libs")]
        sh("cc", "-o", program, os.path.join(EMBED, "main.c"), *flags)
        self.check(program)
        self.assertNotIn("libmoonshelf", sh("ldd", program))

    def test_find_package(self):
        build = os.path.join(self.top, "by-cmake")
        sh("cmake", "-S", EMBED, "-B", build, f"-DCMAKE_PREFIX_PATH={self.prefix}")
        sh("cmake", "--build", build)
        self.check(os.path.join(build, "embed"))

    def test_wrong_use_is_said_in_words(self):
        program = os.path.join(self.top, "words")
        sh("cc", "-o", program, os.path.join(EMBED, "main.c"), *self.flags("--cflags", "--libs"))
        environment = {**os.environ, "LD_LIBRARY_PATH": self.find("libmoonshelf.so")}
        for args, code, text in (([], 2, "usage"), ([self.top, self.site], 1, "manifest.json"), ([self.bundle, self.bundle + "/no.lua"], 1, "no.lua"),
                                 ([self.bundle, self.site, "u1", "i9999"], 1, "i9999")):
            done = subprocess.run([program, *args], capture_output=True, text=True, timeout=60, env=environment)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(text, done.stderr)

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
