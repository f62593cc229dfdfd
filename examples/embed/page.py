#!/usr/bin/env python3
"""Moonshelf inside a Python program, by ctypes and nothing else: a page, an event, and the page after it.

    page.py LIBMOONSHELF.so BUNDLE SITE.lua [USER [ITEM]]
"""
import ctypes
import json
import sys
from ctypes import POINTER, byref, c_bool, c_char, c_char_p, c_int, c_int64, c_size_t, c_uint64, c_void_p


class Status(ctypes.Structure):
    _fields_ = [("code", c_int), ("message", c_char * 500)]


class Sized(ctypes.Structure):
    """A struct that begins with its size; fields that are not named are zero, as if they did not exist."""
    def __init__(self, **fields):
        super().__init__(ctypes.sizeof(self), **{k: v.encode() if isinstance(v, str) else v for k, v in fields.items()})


class Options(Sized):
    _fields_ = [("size", c_size_t), ("bundle", c_char_p), ("site", c_char_p), ("event_log", c_char_p), ("state_memory", c_size_t), ("script_memory", c_size_t),
                ("call_instructions", c_uint64), ("page_millis", c_uint64), ("deterministic", c_bool), ("print", c_void_p), ("print_self", c_void_p)]


class Query(Sized):
    _fields_ = [("size", c_size_t), ("surface", c_char_p), ("user", c_char_p), ("item", c_char_p), ("cart", POINTER(c_char_p)), ("cart_n", c_size_t),
                ("params", c_void_p), ("param_n", c_size_t), ("now", c_int64), ("seed", c_uint64), ("explain", c_bool)]


class Event(Sized):
    _fields_ = [("size", c_size_t), ("user", c_char_p), ("item", c_char_p), ("kind", c_char_p), ("id", c_char_p), ("time", c_int64)]


def main(library, bundle, site, user="u1", item="i1"):
    moon = ctypes.CDLL(library)
    if moon.moon_abi_version() != 1:
        sys.exit(f"{library} is not the one this was written for")

    def call(name, *args):
        function = getattr(moon, name)
        function.restype = Status
        status = function(*args)
        if status.code:
            sys.exit(f"{name}: {status.message.decode()}")

    shop, worker, text, n = c_void_p(), c_void_p(), c_char_p(), c_size_t()
    call("moon_runtime_open", byref(Options(bundle=bundle, site=site)), byref(shop))
    call("moon_worker_open", shop, byref(worker))
    for event in (Event(user=user, item=item, kind="view"), None):
        call("moon_worker_page", worker, byref(Query(surface="home", user=user)), byref(text), byref(n))
        page = json.loads(text.value)
        print(("cold" if page["cold"] else "known"), {slot["name"]: [item["id"] for item in slot["items"]] for slot in page["slots"]})
        if event:
            call("moon_runtime_event", shop, byref(event))
    moon.moon_worker_close(worker)
    moon.moon_runtime_close(shop)


if __name__ == "__main__":
    main(*sys.argv[1:]) if len(sys.argv) > 3 else sys.exit(__doc__)
