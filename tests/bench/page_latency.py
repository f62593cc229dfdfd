#!/usr/bin/env python3
"""Latency of a home page over loopback: 500 candidates scored by the model, policies in Lua and C.

usage: page_latency.py MOONSHELF BUNDLE [--site SITE.lua] [--runs 5] [--seconds 4] [--connections 2]
Starts `moonshelf serve` on a free port, loads it with wrk over many users and prints p50/p99 of each run and their median.
Benchmarks are run by hand (see tests/README.md); CI does not time anything."""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import urllib.request

SITE = """
local m = require "moonshelf"
local p = m.policy
return m.site { home = m.page {
  m.slot "for_you" { take = 24, rank = true, from = { m.source.popular(500), m.source.trending(500) },
    rerank = { p.cap { category = 6 }, p.lua(function(slate) slate:boost(slate.price:lt(20), 1.1) end) } },
} }
"""

LUA = """
local n = 0
request = function() n = n + 1; return wrk.format("GET", "/v1/page/home?user=" .. users[n % #users + 1]) end
"""


def milliseconds(text):
    value, unit = re.match(r"([\d.]+)(us|ms|s)", text).groups()
    return float(value) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit]


def wrk(url, script, seconds, connections):
    out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency", "-s", script, url],
                         capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out:
        sys.exit("some answers were errors:\n" + out)
    part = {k: milliseconds(v) for k, v in re.findall(r"(50|99)%\s+([\d.]+\w+)", out)}
    return part["50"], part["99"], float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("moonshelf")
    parser.add_argument("bundle")
    parser.add_argument("--site")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--connections", type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as top:
        site = args.site or os.path.join(top, "site.lua")
        if not args.site:
            with open(site, "w", encoding="utf-8") as file:
                file.write(SITE)
        server = subprocess.Popen([args.moonshelf, "serve", site, "--bundle", args.bundle, "--port", "0", "--event-log", "none"],
                                  stdout=subprocess.PIPE, text=True, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})
        try:
            url = re.search(r"http://\S+", server.stdout.readline()).group(0)
            users = json.load(urllib.request.urlopen(f"{url}/v1/users?limit=500"))["users"]
            script = os.path.join(top, "load.lua")
            with open(script, "w", encoding="utf-8") as file:
                file.write("users = {" + ",".join(json.dumps(user) for user in users) + "}" + LUA)
            wrk(url, script, 1, args.connections)
            runs = [wrk(url, script, args.seconds, args.connections) for _ in range(args.runs)]
        finally:
            server.terminate()
            server.wait(10)
    print("  p50 ms   p99 ms   pages/s")
    for p50, p99, rate in runs:
        print(f"  {p50:6.2f}   {p99:6.2f}   {rate:7.0f}")
    print(f"median of {len(runs)}: p50 {statistics.median(r[0] for r in runs):.2f} ms, p99 {statistics.median(r[1] for r in runs):.2f} ms, "
          f"{statistics.median(r[2] for r in runs):.0f} pages/s, {args.connections} connections")


if __name__ == "__main__":
    main()
