"""`moonshelf check` tells of everything at once: each mistake on its line, once, and nothing that only follows from it."""
import json
import os
import re
import tempfile
import unittest

import shoplet
from shoplet import run, write

SHOP = os.path.join(os.environ.get("MOON_SOURCE_DIR", "../.."), "examples", "shop")

WRONG = """\
local m = require "moonshelf"
local p = m.polcy
local events = m.csv("events.csv", { mising = "NA" }) {
  user = "user_id", item = "item_id", event = "event", time = "timestamp:tme",
}
return m.recipe "bad shop" {
  events = events,
  items = m.csv "items.csv" { item = "item_id", category = "category", price = "price:number", title = "title:string" },
  preprocess = {
    m.drop_missing { "user", "itm" },
    m.sessionise "30m",
    m.rename { when = "tme" },
  },
  label = m.label { positive = "purchase", of = "view", within = "a day" },
  features = {
    m.id "usr",
    m.id "item" { dimm = 3, dim = "x" },
    m.category "price",
    m.log "title",
    m.category "categry" { dim = 4 },
    m.numric "price",
    m.count("item", "view", { "1h", "1x" }),
    m.history("item", { last = 20 }),
    m.age "price",
    { 5 },
    m.category "category",
    m.category "category",
  },
  model = m.nn.sequential { m.nn.dense(64, "rellu"), m.nn.dense(1, "sigmoid") },
  train = {
    loss = "bc",
    epochs = 0,
    optimizer = m.nn.adm { lr = 5 },
    batchsize = 3,
  },
  evaluate = { "acuracy", "auc", "ndcg@9999" },
}
"""

WRONG_FINDINGS = [
    (2, "there is no word 'm.polcy'; did you mean 'm.policy'?"),
    (3, "unknown option 'mising'; did you mean 'missing'?"),
    (4, "there is no \"tme\"; did you mean 'time'?"),
    (6, 'a name is made of letters, digits, \'_\', \'-\' and \'.\', got "bad shop"'),
    (10, "m.drop_missing: the events have no column 'itm'; did you mean 'item'?"),
    (11, "there is no word 'm.sessionise'; did you mean 'm.sessionize'?"),
    (12, "m.rename: the events have no column 'tme'; did you mean 'time'?"),
    (14, "within must be a duration"),
    (16, "m.id: there is no \"usr\"; did you mean 'user'?"),
    (17, "unknown option 'dimm'; did you mean 'dim'?"),
    (17, "dim must be a whole number from 1 to 1024, got the string \"x\""),
    (18, "m.category: the column 'price' of the items holds numbers, and strings are needed"),
    (19, "m.log: the column 'title' of the items holds strings, and numbers are needed"),
    (20, "m.category: the items have no column 'categry'; did you mean 'category'?"),
    (21, "there is no word 'm.numric'; did you mean 'm.numeric'?"),
    (22, "m.count: window 2 must be a duration"),
    (24, "m.age: the column 'price' of the items holds numbers, and times are needed"),
    (15, 'features[10] must be a feature such as m.id "user", got a table'),
    (27, "the feature category 'category' is there twice (the first at wrong.lua:26)"),
    (29, "activation: there is no \"rellu\"; did you mean 'relu'?"),
    (31, "loss: there is no \"bc\"; did you mean 'bce'?"),
    (32, "epochs must be a whole number from 1 to 512, got 0"),
    (33, "there is no word 'm.nn.adm'; did you mean 'm.nn.adam'?"),
    (34, "unknown option 'batchsize'; did you mean 'batch'?"),
    (36, "evaluate[1]: there is no \"acuracy\"; did you mean 'accuracy'?"),
    (36, "evaluate[3]: ndcg@9999: k must be from 1 to 1000"),
]


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = tempfile.TemporaryDirectory()
        cls.top = cls.home.name
        cls.recipe, cls.site = shoplet.make(cls.top)

    @classmethod
    def tearDownClass(cls):
        cls.home.cleanup()

    def found(self, name, text, *args, ok=1):
        """The findings in a script: (line, level, message without its place); both forms of output say the same."""
        path = write(self.top, name, text)
        answer = json.loads(run("check", path, "--json", *args, ok=ok).stdout)
        self.assertEqual(answer["ok"], ok == 0)
        findings = []
        for f in answer["findings"]:
            place = f"{f['file']}:{f['line']}: " if f["line"] else ""
            self.assertTrue(f["message"].startswith(place), f)
            findings.append((f["line"], f["level"], f["message"][len(place):]))
        lines = run("check", path, *args, ok=ok).stderr.splitlines()
        errors, warnings = (sum(f[1] == level for f in findings) for level in ("error", "warning"))
        said = [f"{n} {word}{'s' if n > 1 else ''}" for n, word in ((errors, "error"), (warnings, "warning")) if n]
        self.assertEqual(lines, [f"{os.path.basename(path)}:{line}: {level}: {message}" if line else f"{level}: {message}"
                                 for line, level, message in findings] + ([", ".join(said)] if said else []))
        return findings

    def assert_found(self, findings, wanted, level="error"):
        self.assertEqual([f[0] for f in findings], sorted(w[0] for w in wanted), findings)
        for line, text in wanted:
            self.assertTrue(any(f[0] == line and f[1] == level and text in f[2] for f in findings), (line, text, findings))
        self.assertEqual(len(findings), len(wanted))

    def changed(self, *changes):
        text = shoplet.RECIPE
        for old, new in changes:
            self.assertIn(old, text)
            text = text.replace(old, new, 1)
        return text

    def line_of(self, text, part):
        return text[:text.index(part)].count("\n") + 1


class Scripts(Base):
    def test_a_right_script_is_told_so(self):
        self.assertIn("a recipe, nothing wrong found", run("check", self.recipe).stdout)
        self.assertIn("a site, nothing wrong found", run("check", self.site).stdout)
        for name in ("recipe.lua", "site.lua"):
            self.assertEqual(run("check", os.path.join(SHOP, name)).stderr, "")

    def test_all_mistakes_of_a_recipe_are_told_once_on_their_lines(self):
        self.assert_found(self.found("wrong.lua", WRONG), WRONG_FINDINGS)

    def test_all_layers_that_do_not_fit_are_told(self):
        """Not those that a wrong one's result flows to: what they would get is not known."""
        text = self.changed(('m.nn.dense(8, "relu"), m.nn.dense(1, "sigmoid")', """
            m.nn.parallel {
              m.nn.gru(4),
              m.nn.sequential { m.nn.attention { heads = 3, input = "history" }, m.nn.pool "last", m.nn.dense(3) },
              m.nn.pool "last", m.nn.pool "max",
              m.nn.residual { m.nn.dense(5) },
              m.nn.sequential { m.nn.gru(4), m.nn.gru(4, { input = "user" }), m.nn.dense(2) },
              m.nn.dense(2),
            },
            m.nn.position(), m.nn.dense(2),
            m.nn.dot { m.nn.dense(3, "linear", { input = "user" }), m.nn.dense(4, "linear", { input = "item" }) }, m.nn.dense(1, "sigmoid")"""))
        at = self.line_of(text, "m.nn.parallel")
        findings = [f for f in self.found("layers.lua", text) if f[1] == "error"]
        self.assert_found(findings, [
            (at + 1, "gru: takes"), (at + 2, "attention: "), (at + 3, "pool: "), (at + 3, "pool: "),
            (at + 4, "residual: "), (at + 5, "gru: takes"), (at + 5, "gru: takes"), (at + 9, "dot: "),
        ])

    def test_training_still_stops_at_the_first(self):
        path = write(self.top, "wrong.lua", WRONG)
        stderr = run("train", path, "--data", self.top, "--out", os.path.join(self.top, "none"), ok=1).stderr
        self.assertIn("wrong.lua:2: there is no word 'm.polcy'", stderr)
        self.assertEqual(len(stderr.strip().splitlines()), 1)

    def test_all_mistakes_of_a_site_are_told_once_on_their_lines(self):
        text = """\
local m = require "moonshelf"
local p = m.policy
return m.site {
  home = m.page {
    m.slot "a" { take = 0, from = m.source.populr(10), rerank = { p.cap { category = 0 }, p.boost("new", -1), 7 } },
    m.slot "b" { form = m.source.popular(10) },
    m.slot "c" { take = 2, min = 3, from = m.source.popular(10) },
    m.slot "d" { from = m.source.popular(10) },
    m.slot "d" { from = m.source.popular(10) },
    dedup = "item",
    fallback = m.source.trending(0),
  },
  product = m.pagee { m.slot "e" { from = m.source.popular(10) } },
  ["the cart"] = m.page { m.slot "f" { from = m.source.popular(10), gate = 5 } },
  about = 5,
}
"""
        self.assert_found(self.found("wrong_site.lua", text), [
            (5, "take must be a whole number from 1 to 1000, got 0"),
            (5, "there is no word 'm.source.populr'; did you mean 'm.source.popular'?"),
            (5, "m.policy.cap: category must be a whole number"),
            (5, "m.policy.boost: factor must be a number above 0, got -1"),
            (5, "rerank[3] must be a policy"),
            (6, "unknown option 'form'; did you mean 'from'?"),
            (6, "'from' is missing"),
            (7, "min (3) is more than take (2)"),
            (9, 'there are two slots "d" on the page (the first at wrong_site.lua:8)'),
            (10, "unknown option 'dedup'; did you mean 'dedupe'?"),
            (11, "m.source.trending must be a whole number from 1"),
            (13, "there is no word 'm.pagee'; did you mean 'm.page'?"),
            (14, "gate must be a gate such as"),
            (3, "a surface's name is made of letters"),
            (15, "about must be a page"),
        ])

    def test_errors_of_the_script_itself_come_after_what_was_found(self):
        text = 'local m = require "moonshelf"\nlocal a = m.id "usr"\nlocal b = nil + 1\nlocal c = m.id "itm"\n'
        self.assert_found(self.found("broken.lua", text), [(2, "m.id: there is no \"usr\""), (3, "arithmetic on a nil value")])
        self.assertEqual(self.found("syntax.lua", "local = 5\n")[0][0], 1)
        self.assertIn("instructions", self.found("endless.lua", 'local m = require "moonshelf"\nlocal a = m.nope\nwhile true do end\n')[-1][2])
        self.assertIn("must return m.recipe", self.found("nothing.lua", "return 5\n")[0][2])
        self.assert_found(self.found("only.lua", 'local m = require "moonshelf"\nreturn m.recpe "x" { events = 5 }\n'),
                          [(2, "there is no word 'm.recpe'")])

    def test_a_stand_in_says_nothing_whatever_is_done_with_it(self):
        text = self.changed(("return m.recipe", 'local x = m.nope(5).more.yet { 1, 2 }\nlocal y = x + 1 - -x * x .. "a" .. x\n'
                             'for _ in ipairs(x) do error "none" end\nassert(not (x < 1) and #x == 0)\nx.field = 3\n'
                             'local function mine() return m.nope end\nreturn m.recipe'),
                            ('m.log "price"', 'm.log(x), m.clip(m.log(x), 0, 1), x, m.category(x), mine()'),
                            ("epochs = 2", "epochs = x.epochs"), ("of = \"view\"", "of = x"))
        self.assert_found(self.found("stand_in.lua", text), [(2, "there is no word 'm.nope'"), (7, "there is no word 'm.nope'")])

    def test_what_leans_on_something_wrong_is_not_wrong_itself(self):
        for old, new, says in (('m.id "item" { dim = 4 }', 'm.id "item" { dim = 0 }', "dim must be"),
                               ("m.csv \"events.csv\"", "m.cvs \"events.csv\"", "no word 'm.cvs'"),
                               ("m.csv \"items.csv\"", "m.cvs \"items.csv\"", "no word 'm.cvs'"),
                               ('m.nn.dense(1, "sigmoid")', 'm.nn.dense(1, "sigmoyd")', "activation")):
            text = self.changed((old, new))
            self.assert_found(self.found("leans.lua", text), [(self.line_of(text, new), says)])

    def test_a_plan_is_checked_for_what_fits_without_data(self):
        text = self.changed(('m.nn.dense(8, "relu")', 'm.nn.pool "mean"'))
        findings = self.found("fits.lua", text)
        self.assertEqual([f[0] for f in findings], [self.line_of(text, "m.nn.pool")])


class Types(Base):
    CASES = (  # what is changed, at which words the finding is, what it says
        ('price = "price"', 'price = "price:string"', "m.log", "holds strings, and numbers are needed"),
        ('category = "category"', 'category = "category:number"', "m.category", "holds numbers, and strings are needed"),
        ('stock = "stock" }', 'stock = "stock:time" }', None, None),
        ('m.log "price"', 'm.tags "price"', None, None),
        ('price = "price", stock = "stock"', 'price = "price:integer", stock = "stock"', None, None),
        ('time = "timestamp"', 'time = "timestamp:number"', 'm.csv "events.csv"', "'time' of the events holds numbers, and times are needed"),
        ("m.drop_missing {", 'm.clip("event", { max = 3 }), m.drop_missing {', "m.clip", "numbers are needed"),
        ("m.drop_missing {", 'm.cast { event = "number" }, m.clip("event", { max = 3 }), m.cast { event = "string" }, m.drop_missing {',
         None, None),
        ("m.drop_missing {", 'm.time_zone { item = "UTC" }, m.drop_missing {', "m.time_zone", "times are needed"),
        ("m.drop_missing {", 'm.fill { event = 5 }, m.drop_missing {', "m.fill", "numbers are needed"),
        ("label = m.label { positive = \"purchase\", of = \"view\", within = \"24h\" }", 'label = m.label { column = "event", at_least = 3 }',
         "m.label", "holds strings, and numbers are needed"),
        ("seed = 1", 'seed = 1, weight = "item"', "seed = 1", "train: weight: the column 'item' of the events holds strings"),
    )

    def test_declared_types_fit_the_words_that_read_them(self):
        for old, new, at, says in self.CASES:
            text = self.changed((old, new))
            findings = [f for f in self.found("types.lua", text, ok=1 if says else 0) if f[1] == "error"]
            if says:
                self.assert_found(findings, [(self.line_of(text, at), says)])


class Data(Base):
    def test_all_missing_columns_of_all_tables_are_told_with_the_nearest(self):
        write(self.top, "users.csv", "user_id,country\nu1,NL\n")
        text = self.changed(('user = "user_id"', 'user = "user_idd"'), ('event = "event"', 'event = "evnt"'),
                            ('category = "category",\n', 'category = "catgory",\n'), ('brand = "brand"', 'brand = "brnd"'),
                            ("m.drop_missing {", '\nm.join(m.csv "users.csv" { user = "user_id", country = "contry", age = "aeg" },\n'
                             '{ on = "user" }), m.drop_missing {'))
        findings = self.found("missing.lua", text, "--data", self.top)
        self.assert_found(findings, [
            (3, "events.csv has no column 'user_idd'; did you mean 'user_id'?"),
            (3, "events.csv has no column 'evnt'; did you mean 'event'?"),
            (4, "items.csv has no column 'catgory'; did you mean 'category'?"),
            (5, "items.csv has no column 'brnd'; did you mean 'brand'?"),
            (7, "users.csv has no column 'contry'; did you mean 'country'?"),
            (7, "users.csv has no column 'aeg'; its header has user_id, country"),
        ])

    def test_all_features_that_do_not_fit_the_data_are_told(self):
        text = self.changed(('m.category "category" { dim = 2 }', 'm.category "price",\nm.count("user", "view", "1h", { by = "stock" })'),
                            ('m.log "price"', '\nm.log "title", m.age "price"'))
        findings = self.found("fit.lua", text, "--data", self.top)
        self.assert_found(findings, [
            (9, "column price of items.csv holds numbers; price needs strings"),
            (10, "column stock of items.csv holds numbers; to count by it needs strings"),
            (11, "column title of items.csv holds strings; log(title) needs numbers"),
            (11, "column price of items.csv holds no times"),
        ])

    def test_a_column_is_told_of_once_by_its_declared_type(self):
        text = self.changed(('title = "title"', 'title = "title:string"'), ('m.log "price"', 'm.log "title", m.relative("brand", "category")'),
                            ('event = "event", time', 'event = "event", w = "event:string", time'), ("seed = 1", 'seed = 1, weight = "w"'))
        self.assert_found(self.found("declared.lua", text, "--data", self.top), [
            (9, "m.log: the column 'title' of the items holds strings, and numbers are needed"),
            (9, "column brand of items.csv holds strings; relative(brand,category) needs numbers"),
            (15, "train: weight: the column 'w' of the events holds strings"),
        ])

    def test_kinds_of_events_that_there_are_not(self):
        text = self.changed(('positive = "purchase"', 'positive = "purchse"'), ('m.count("item", "view"', 'm.count("item", "vew"'),
                            ('m.history("item", { last = 5 })', 'm.history("item", { last = 5, of = { "view", "purchas" } })'))
        findings = self.found("kinds.lua", text, "--data", self.top)
        self.assertEqual(findings, [
            (7, "error", "m.label: there is no event 'purchse' in events.csv; did you mean 'purchase'?"),
            (10, "warning", "count(item,vew): there is no event 'vew' in events.csv; did you mean 'view'?"),
            (11, "warning", "history(item): there is no event 'purchas' in events.csv; did you mean 'purchase'?"),
        ])
        renamed = self.changed(('m.filter(function(e) return e.event ~= "bot" end)', 'm.map "event" (function(e) return "my " .. e.event end)'),
                               ('positive = "purchase", of = "view"', 'positive = "my purchase", of = "my view"'),
                               ('m.count("item", "view"', 'm.count("item", "my view"'),
                               ('"purchase", "view", {', '"my purchase", "my view", {'))
        self.assertEqual(self.found("renamed.lua", renamed, "--data", self.top, ok=0), [])

    def test_rules_run_and_their_errors_have_their_lines(self):
        text = self.changed(('return e.event ~= "bot"', 'return e.evnt ~= "bot"'))
        self.assert_found(self.found("rules.lua", text, "--data", self.top), [(6, "evnt")])
        text = self.changed(('return e.event ~= "bot"', "return false"))
        self.assert_found(self.found("none.lua", text, "--data", self.top), [(3, "the preprocess rules left no event")])

    def test_mistakes_in_the_script_do_not_hide_those_in_the_data(self):
        text = self.changed(('m.id "user" { dim = 4 }', 'm.id "user" { dimm = 4 }'), ('brand = "brand"', 'brand = "brnd"'),
                            ('m.log "price"', 'm.log "title"'), ("epochs = 2", "epochs = 0"))
        findings = self.found("both.lua", text, "--data", self.top)
        self.assert_found(findings, [(5, "did you mean 'brand'?"), (9, "'dimm'"), (9, "log(title) needs numbers"), (14, "epochs")])

    def test_a_file_that_is_not_there(self):
        text = self.changed(('"events.csv"', '"evnts.csv"'), ('"items.csv"', '"itms.csv"'))
        findings = self.found("files.lua", text, "--data", self.top)
        self.assert_found(findings, [(3, "evnts.csv"), (4, "itms.csv")])


class Warnings(Base):
    PLAIN = ('m.drop_missing { "user", "item", "time" }, m.filter(function(e) return e.event ~= "bot" end)',
             'm.drop_missing { "user", "item", "time" }')

    def test_features_that_no_layer_reads(self):
        text = self.changed(('m.nn.dense(8, "relu")', 'm.nn.dense(8, "relu", { input = "numbers" })'))
        findings = self.found("unread.lua", text, ok=0)
        self.assert_found(findings, [
            (9, "no layer reads the feature 'user'; the model reads numbers"), (9, "no layer reads the feature 'item'"),
            (9, "no layer reads the feature 'category'"), (11, "no layer reads the feature 'history(item)'")], "warning")

    def test_a_table_that_a_history_shares_is_read(self):
        text = self.changed(('m.nn.dense(8, "relu")', 'm.nn.pool("mean", { input = "history" }), m.nn.dense(8, "relu")'))
        findings = self.found("shared.lua", text, ok=0)
        self.assert_found(findings, [(9, "'user'"), (9, "'category'"), (9, "'log(price)'"), (10, "'count(item,view)'"),
                                     (10, "'rate(item,purchase/view)'")], "warning")

    def test_branches_are_followed(self):
        text = self.changed(('m.nn.dense(8, "relu")', 'm.nn.parallel { m.nn.dense(4, "relu"), m.nn.input "item" }, m.nn.dense(8)'))
        self.assertEqual(self.found("branches.lua", text, ok=0), [])

    def test_columns_of_the_events_that_nothing_reads(self):
        more = ('time = "timestamp" }', 'time = "timestamp",\n  place = "place" }')
        self.assert_found(self.found("unused.lua", self.changed(self.PLAIN, more), ok=0),
                          [(4, "nothing reads the column 'place' of the events")], "warning")
        self.assertEqual(self.found("function.lua", self.changed(more), ok=0), [])  # a function may read it
        for use in ('m.position "place", ', ""):
            text = self.changed(self.PLAIN, more, ("features = {", "features = { " + use),
                                *([] if use else [("seed = 1", 'seed = 1, weight = "place"')]))
            self.assertEqual(self.found("used.lua", text, ok=0), [])

    def test_columns_that_a_rule_adds_for_nothing(self):
        text = self.changed((self.PLAIN[0], 'm.drop_missing { "user" },\n m.sessionize "30m"'))
        self.assert_found(self.found("session.lua", text, ok=0), [(7, "m.sessionize adds the column 'session' to the events, and nothing reads it")],
                          "warning")


class Sites(Base):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.bundle = os.path.join(cls.top, "bundle")
        shoplet.train(cls.top, cls.bundle)

    def test_all_that_does_not_fit_the_bundle_is_told(self):
        text = """\
local m = require "moonshelf"
local p = m.policy
return m.site {
  home = m.page {
    m.slot "a" { from = m.source.popular(10), rank = true,
                 rerank = { p.cap { categry = 3 },
                            p.boost({ brnd = "acme" }, 1.5),
                            p.mmr { by = "price" } } },
    m.slot "b" { from = m.source.popular(10), rerank = { p.filter { title = { lt = 3 } } } },
    exclude_seen = { "purchase", "purchse" },
  },
  cart = m.page { m.slot "c" { from = m.source.popular(10), rerank = { p.cap { brand = 1 }, p.cap { brnd = 1 } } } },
}
"""
        findings = self.found("fits_not.lua", text, "--bundle", self.bundle)
        self.assertEqual([(f[0], f[1]) for f in findings],
                         [(4, "warning"), (6, "error"), (7, "error"), (8, "error"), (9, "error"), (12, "error")])
        self.assertIn("did you mean 'category'?", findings[1][2])
        self.assertIn("'purchse'", findings[0][2])

    def test_the_shoplets_site_fits(self):
        self.assertIn("nothing wrong", run("check", self.site, "--bundle", self.bundle).stdout)
        self.assertEqual(self.found("nowhere.lua", shoplet.SITE, "--bundle", "/nowhere")[0][0], None)


class Plans(Base):
    def test_the_plan_of_the_example_shop_is_drawn_as_a_tree(self):
        shown = run("check", os.path.join(SHOP, "recipe.lua"), "--plan").stdout
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "shop_plan.txt"), encoding="utf-8") as file:
            self.assertEqual(shown, file.read())

    def test_the_json_has_the_plan_the_tree_and_the_cost(self):
        answer = json.loads(run("check", self.recipe, "--plan", "--json").stdout)
        self.assertEqual(answer["plan"]["train"]["batch"], 32)
        self.assertEqual(answer["tree"]["text"], "recipe shoplet")
        self.assertEqual([f["type"] for f in answer["features"]], ["id", "id", "id", "number", "number", "number", "bag"])
        self.assertEqual(answer["features"][4]["slots"], 2)
        cost = answer["cost"]
        self.assertEqual((cost["numbers"], cost["ids"], cost["bags"], cost["row_bytes"]), (4, 3, 1, 4 * (4 + 3 + 5)))
        self.assertEqual(cost["candidates"], 500)
        self.assertGreater(cost["features_us"], 0)
        self.assertEqual(cost["weights"], (4 + 4 + 4 + 2 + 4) * 8 + 8 + 8 + 1)
        shared = [c["features"] for c in answer["counters"]]
        self.assertIn(["count(item,view)", "rate(item,purchase/view)"], shared)

    def test_a_wider_window_and_more_features_cost_more(self):
        def cost(*changes):
            return json.loads(run("check", write(self.top, "cost.lua", self.changed(*changes)), "--plan", "--json").stdout)["cost"]
        plain = cost()
        more = cost(('{ "1h", "7d" }', '{ "1h", "7d", "30d" }'))
        self.assertGreater(more["features_us"], plain["features_us"])
        self.assertIn(more["item_bytes"] - plain["item_bytes"], (0, 4, 8))  # rows are whole words
        pairs = cost(('m.log "price"', 'm.log "price", m.interacted_with("view", { within = "7d" })'))
        self.assertEqual((plain["pair_bytes"], pairs["pair_bytes"]), (0, 44 + 24))
        wide = cost(("m.nn.dense(8", "m.nn.dense(800"))
        self.assertGreater(wide["model_us"], 50 * plain["model_us"])

    def test_a_site_is_drawn_too(self):
        shown = run("check", self.site, "--plan").stdout
        self.assertIn("page home, each item once", shown)
        self.assertTrue(re.search(r"slot for_you: 6 from similar\(30\), popular\(60\), ranked", shown), shown)
        self.assertIn("cap(category)", shown)

    def test_no_plan_is_printed_of_what_is_wrong(self):
        self.assertEqual(run("check", write(self.top, "wrong.lua", WRONG), "--plan", ok=1).stdout, "")


if __name__ == "__main__":
    unittest.main()
