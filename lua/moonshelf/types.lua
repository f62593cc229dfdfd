---@meta
--- types.lua - the types that words give and that functions in scripts are given, for editors that read LuaCATS. Nothing runs here.

---@class moonshelf.Table    a file and its columns
---@class moonshelf.Rule     a step of preprocess
---@class moonshelf.Label    what counts as a success
---@class moonshelf.Feature  what the model sees
---@class moonshelf.Layer    one layer
---@class moonshelf.Model    layers one after the other; also a layer of others
---@class moonshelf.Optimizer
---@class moonshelf.Schedule how the learning rate goes
---@class moonshelf.Split    which examples train, validate, test
---@class moonshelf.Source   where candidates come from
---@class moonshelf.Policy   what reorders or thins out a slate
---@class moonshelf.RequestValue  a value that comes with the request
---@class moonshelf.Slot     a row of items
---@class moonshelf.Gate     whether a slot is there
---@class moonshelf.Page     slots from top to bottom
---@class moonshelf.Result   what a script returns; m.plan reads it

---@alias moonshelf.Text string|string[]
---@alias moonshelf.Negatives integer|{ [1]: integer, by: ("uniform"|"popularity"|"batch")?, power: number?, unseen: boolean? }
---@alias moonshelf.Number string|moonshelf.Feature  a number column of the items, or a feature that is a number
---@alias moonshelf.Activation "linear"|"relu"|"sigmoid"|"tanh"|"gelu"|"leaky_relu"|"softplus"
---@alias moonshelf.Init "glorot"|"he"|"normal"|"zeros"|"ones"
---@alias moonshelf.DenseOptions { init: moonshelf.Init?, bias: boolean?, l2: number?, input: string?, share: string?, freeze: boolean? }
---@alias moonshelf.LayerOptions { input: string?, share: string?, freeze: boolean? }
---@alias moonshelf.Layers { [integer]: moonshelf.Layer|moonshelf.Model, input: string?, share: string?, freeze: boolean? }
---@alias moonshelf.Entity "user"|"item"
---@alias moonshelf.IdOptions { dim: integer?, min_count: integer?, hash: integer? }
---@alias moonshelf.When string|table<string, string|number|true|string[]|number[]|moonshelf.RequestValue|moonshelf.Bounds>
---@alias moonshelf.Bound number|moonshelf.RequestValue
---@alias moonshelf.Equal string|number|moonshelf.RequestValue

---@class moonshelf.Bounds
---@field lt? moonshelf.Bound
---@field le? moonshelf.Bound
---@field gt? moonshelf.Bound
---@field ge? moonshelf.Bound
---@field eq? moonshelf.Equal
---@field ne? moonshelf.Equal
---@field has? string|moonshelf.RequestValue


---@class moonshelf.Branches
---@field [integer] moonshelf.Layer|moonshelf.Model
---@field merge? "concat"|"sum"|"gate"
---@field input? string
---@field share? string
---@field freeze? boolean

--- A layer for each task, by its name.
---@class moonshelf.Heads
---@field [string] moonshelf.Layer|moonshelf.Model
---@field times? table<string, string>  { purchase = "cart" }: the probability of purchase is that of cart times what its own layers give
---@field input? string
---@field share? string
---@field freeze? boolean

--- An embedding: a feature as it stands, and with options when called: m.id "user" { dim = 16 }.
---@class moonshelf.IdFeature: moonshelf.Feature
---@overload fun(options: moonshelf.IdOptions): moonshelf.Feature

---@class moonshelf.CategoryFeature: moonshelf.Feature
---@overload fun(options: moonshelf.IdOptions): moonshelf.Feature

---@class moonshelf.TagsFeature: moonshelf.Feature
---@overload fun(options: { sep: string?, max: integer?, dim: integer?, min_count: integer?, hash: integer? }): moonshelf.Feature

---@class moonshelf.CheckpointOptions
---@field checkpoint string
---@field dim integer
---@field pooling? "mean"|"cls"
---@field normalize? boolean
---@field max_length? integer
---@field freeze? boolean

---@class moonshelf.RecipeOptions
---@field events moonshelf.Table
---@field items? moonshelf.Table
---@field preprocess? moonshelf.Rule[]
---@field label moonshelf.Label|table<string, moonshelf.Label>  one, or one for each task
---@field features moonshelf.Feature[]
---@field model moonshelf.Model
---@field score? string|table<string, number>  the task to rank by, or weights of a sum: { cart = 0.3, purchase = 1 }
---@field state? { ttl: string? }  ttl = "90d": a user that was not seen for so long is a new one
---@field train? moonshelf.TrainOptions
---@field evaluate? string[]

---@class moonshelf.TestOptions
---@field recipe? moonshelf.Result
---@field items? moonshelf.Cells[]
---@field run fun(t: moonshelf.T)

--- What m.test gives: run() runs it at once.
---@class moonshelf.Test
---@field name string
---@field run fun()

---@alias moonshelf.Cells table<string, string|number|boolean>
---@alias moonshelf.Event { user: string, item: string, event: string?, time: string }

--- What a test can do.
---@class moonshelf.T
local T = {}
---@param event moonshelf.Event|moonshelf.Event[]  as the rules leave it
function T:event(event) end
---@param rows moonshelf.Cells|moonshelf.Cells[]  through the rules
---@return integer  how many they left
function T:log(rows) end
---@param question { item: string, user: string?, at: string?, [string]: number }
---@return table<string, number|string|string[]|integer[]|nil>
function T:features(question) end
---@param got any
---@param expected any
---@param what? string
function T:equal(got, expected, what) end
---@param got number?
---@param expected number
---@param tolerance? number
---@param what? string
function T:near(got, expected, tolerance, what) end
---@generic V
---@param value V
---@param what? string
---@return V
function T:ok(value, what) end
---@param fn fun()
---@param text? string
---@return string message
function T:error(fn, text) end

---@class moonshelf.LabelOptions
---@field positive? moonshelf.Text
---@field of? moonshelf.Text
---@field within? string
---@field column? string
---@field at_least? number
---@field negatives? moonshelf.Negatives

---@class moonshelf.TrainOptions
---@field loss? "bce"|"mse"|"bpr"|"softmax"
---@field sequences? boolean|{ stride: integer?, mask: number?, negatives: integer?, power: number? }
---@field log_q? boolean
---@field optimizer? moonshelf.Optimizer
---@field epochs? integer
---@field batch? integer
---@field split? moonshelf.Split
---@field validation? number
---@field seed? integer
---@field patience? integer
---@field positive_weight? number
---@field weight? string
---@field weights? table<string, number>  what each task's loss counts for
---@field threads? integer
---@field precision? "f32"|"bf16"|"int8"
---@field standardise? boolean
---@field ahead? integer
---@field checkpoint? integer
---@field on_epoch? fun(info: moonshelf.FitInfo): boolean|string|nil
---@field on_step? { every: integer?, [1]: fun(info: moonshelf.FitInfo): boolean|string|nil }

--- Values for `moonshelf tune` to search, as the value itself: m.tune { 1e-4, 1e-3 }.
---@class moonshelf.Tune
---@overload fun(values: { name: string?, [integer]: any }): any
---@field choice fun(...: any): any
---@field range fun(low: number, high: number, step: number, options?: { default: number?, name: string? }): number
---@field log fun(low: number, high: number, options?: { points: integer?, default: number?, name: string? }): number

---@class moonshelf.FitInfo
---@field epoch integer
---@field epochs integer
---@field step integer  of the whole training
---@field loss number
---@field validation_loss? number
---@field lr number
---@field examples_per_second number

---@class moonshelf.OptimizerOptions
---@field lr? number
---@field weight_decay? number
---@field clip_norm? number
---@field clip_value? number
---@field groups? { params: string, lr: number?, weight_decay: number? }[]
---@field schedule? moonshelf.Schedule

---@class moonshelf.SourceOptions
---@field at_least? integer  places of the slot that are kept for it, as far as it has items
---@field at_most? integer   places that it may have

---@class moonshelf.NearestOptions: moonshelf.SourceOptions
---@field when? moonshelf.When  only these items

--- Of every policy.
---@class moonshelf.RuleOptions
---@field owner? string
---@field reason? string   both stand in the explanation
---@field starts? string   a date
---@field ends? string

---@class moonshelf.ExcludeOptions: moonshelf.RuleOptions
---@field when? moonshelf.When
---@field items? moonshelf.Text    ids
---@field done? moonshelf.Text     kinds of events
---@field within? string           "30d": done so lately

---@class moonshelf.FrequencyOptions: moonshelf.RuleOptions
---@field done string     a kind of event that the recipe counts by user and item
---@field most integer    so often and no more
---@field within string   "1d"

---@class moonshelf.CapOptions: moonshelf.RuleOptions
---@field split? string    what separates the values of a column that holds many
---@field first? integer   among so many first places only

---@class moonshelf.FreshnessOptions: moonshelf.RuleOptions
---@field by string          a column of times
---@field half_life string   "7d"
---@field factor? number     of what is brand-new; 2

---@class moonshelf.ClearanceOptions: moonshelf.RuleOptions
---@field stock? string        a column of numbers
---@field over? number         from which stock on
---@field full? number         at which in full
---@field since? string        a column of times
---@field after? string        from which age on
---@field full_after? string   at which in full
---@field factor? number       in full; 1.5

---@class moonshelf.SuppressOptions: moonshelf.RuleOptions
---@field done moonshelf.Text   kinds of events
---@field factor? number        right after it; 0.1
---@field half_life? string     "7d"

---@class moonshelf.BlendOptions: moonshelf.RuleOptions
---@field weights table<string, number>   by column, or "score", "model_score", "source_score"
---@field scale? "minmax"|"rank"

---@class moonshelf.SortOptions: moonshelf.RuleOptions
---@field by? string   a column of numbers or times; the score
---@field order? "falling"|"rising"

---@class moonshelf.PinOptions: moonshelf.RuleOptions
---@field items moonshelf.Text   ids
---@field at? integer            from this place on
---@field after? string          right after this item
---@field before? string         right before it
---@field top? number            within this share of the slate: 0.5
---@field bring? boolean         also what is not among the candidates

---@class moonshelf.QuotaOptions: moonshelf.RuleOptions
---@field when moonshelf.When
---@field at_least? integer
---@field at_most? integer
---@field first integer   of how many places

---@class moonshelf.RatioOptions: moonshelf.RuleOptions
---@field when moonshelf.When
---@field at_least? number   0.3
---@field at_most? number
---@field first integer   of how many places

---@class moonshelf.PatternOptions: moonshelf.RuleOptions
---@field pattern (moonshelf.When|"any")[]
---@field first? integer   of how many places; 100

---@class moonshelf.MixOptions: moonshelf.RuleOptions
---@field by string         a column of numbers
---@field edges number[]    between the bands
---@field shares number[]   one more than edges
---@field first integer   of how many places

---@class moonshelf.MarginOptions: moonshelf.RuleOptions
---@field of string         a column of numbers
---@field per? string       the sum of it is divided by the sum of this column
---@field at_least number
---@field first integer   of how many places

---@class moonshelf.DebunchOptions: moonshelf.RuleOptions
---@field by string        a column
---@field split? string    what separates its values where it holds many
---@field most? integer    1
---@field window? integer  2
---@field first? integer   of how many places; 100

---@class moonshelf.VarietyOptions: moonshelf.RuleOptions
---@field lambda? number   1: by score alone; 0.7
---@field by? string       "embedding", or a column of strings
---@field k? integer       50

---@class moonshelf.CalibrateOptions: moonshelf.RuleOptions
---@field by string             a column of strings
---@field split? string         what separates its values where it holds many
---@field lambda? number        0: by score alone; 0.5
---@field first? integer        20
---@field last? integer         of the user's items; 100
---@field done? moonshelf.Text  kinds of events; any

---@class moonshelf.EpsilonOptions: moonshelf.RuleOptions
---@field epsilon? number   0.1
---@field first? integer    10
---@field among? integer    100

---@class moonshelf.SampleOptions: moonshelf.RuleOptions
---@field temperature? number   0.1
---@field first? integer        10
---@field among? integer        100

---@class moonshelf.ThompsonOptions: moonshelf.RuleOptions
---@field success string    a kind of event that the recipe counts by item
---@field trial string      another
---@field within? string    "30d"; ever
---@field prior? number[]   successes and failures before any; { 1, 20 }
---@field memory? number    of so many trials at most; 1000
---@field first? integer    10
---@field among? integer    50

---@class moonshelf.LinucbOptions: moonshelf.RuleOptions
---@field success moonshelf.Text   kinds of events
---@field alpha? number            how much what is not known counts; 0.5
---@field ridge? number            1
---@field last? integer            of the user's items; 50
---@field first? integer           10
---@field among? integer           100

---@class moonshelf.SlotOptions
---@field title? string|string[]  "Because you looked at {seed.title}"; of several the first that can be filled in
---@field take? integer
---@field min? integer
---@field from moonshelf.Source|moonshelf.Source[]
---@field rank? boolean|string
---@field rerank? moonshelf.Policy|moonshelf.Policy[]
---@field gate? moonshelf.Gate|moonshelf.GateFunction
---@field fallback? moonshelf.Fallback  instead of the page's
---@field fixed? boolean  keeps its place where the page orders its slots

---@class moonshelf.Gates
---@field country fun(values: moonshelf.Text): moonshelf.Gate
---@field device fun(values: moonshelf.Text): moonshelf.Gate
---@field segment fun(values: moonshelf.Text): moonshelf.Gate
---@field param fun(name: string, values: moonshelf.Text): moonshelf.Gate
---@field experiment fun(name: string, variants: moonshelf.Text): moonshelf.Gate
---@field known_user fun(): moonshelf.Gate
---@field logged_in fun(): moonshelf.Gate
---@field between fun(options: { starts: string?, ends: string? }): moonshelf.Gate
---@field hours fun(options: { from: string?, to: string?, days: moonshelf.Text?, zone: string? }): moonshelf.Gate
---@field in_stock fun(items?: moonshelf.Text): moonshelf.Gate
---@field all fun(gates: (moonshelf.Gate|moonshelf.GateFunction)[]): moonshelf.Gate
---@field any fun(gates: (moonshelf.Gate|moonshelf.GateFunction)[]): moonshelf.Gate
---@field none fun(gates: (moonshelf.Gate|moonshelf.GateFunction)[]): moonshelf.Gate

---@alias moonshelf.GateFunction fun(ctx: moonshelf.Ctx): boolean
---@alias moonshelf.Fallback moonshelf.Source|moonshelf.Source[]|moonshelf.Source[][]

---@class moonshelf.SlotOrder
---@field by "score"|"affinity"
---@field column? string  of affinity
---@field first? integer  of a slot's items

---@class moonshelf.Solve
---@field caps? table<string, integer>  at most so many items a value, on the whole page
---@field floors? { when: moonshelf.When, at_least: integer }[]  at least so many that match
---@field steps? integer  tries at most
---@field within_ms? integer

---@class moonshelf.PageOptions
---@field solve? boolean|moonshelf.Solve  fill all slots at once
---@field [integer] moonshelf.Slot
---@field dedupe? "item"|string  "item", or a column such as "product"
---@field fallback? moonshelf.Fallback
---@field exclude_seen? moonshelf.Text
---@field order? "score"|moonshelf.SlotOrder

--- A row of the events, in m.filter and m.map, or of the items, in m.lua: row.price. Reading only; an empty cell is nil.
---@class moonshelf.Row
---@field [string] string|number|nil

--- A number in the function of m.lua: + - * / ^ // % and m.log, m.ln, m.exp, m.sqrt, m.abs, m.floor, m.min, m.max, m.when make others.
---@class moonshelf.Symbol
---@operator add(moonshelf.Symbol|number): moonshelf.Symbol
---@operator sub(moonshelf.Symbol|number): moonshelf.Symbol
---@operator mul(moonshelf.Symbol|number): moonshelf.Symbol
---@operator div(moonshelf.Symbol|number): moonshelf.Symbol
---@operator pow(moonshelf.Symbol|number): moonshelf.Symbol
---@operator idiv(moonshelf.Symbol|number): moonshelf.Symbol
---@operator mod(moonshelf.Symbol|number): moonshelf.Symbol
---@operator unm: moonshelf.Symbol
local symbol = {}
---@param value moonshelf.Symbol|number
---@return moonshelf.Condition
function symbol:lt(value) end
---@param value moonshelf.Symbol|number
---@return moonshelf.Condition
function symbol:le(value) end
---@param value moonshelf.Symbol|number
---@return moonshelf.Condition
function symbol:gt(value) end
---@param value moonshelf.Symbol|number
---@return moonshelf.Condition
function symbol:ge(value) end
---@param value moonshelf.Symbol|number
---@return moonshelf.Condition
function symbol:eq(value) end
---@param value moonshelf.Symbol|number
---@return moonshelf.Condition
function symbol:ne(value) end
---@return moonshelf.Condition  whether there is a number
function symbol:known() end

--- What m.when asks; conditions combine with &, | and ~.
---@class moonshelf.Condition
---@operator band(moonshelf.Condition): moonshelf.Condition
---@operator bor(moonshelf.Condition): moonshelf.Condition
---@operator bnot: moonshelf.Condition

--- The items of a slot, best first, in p.lua. slate.<column> is a column to compare.
---@class moonshelf.Slate
---@field score moonshelf.Column|fun(self: moonshelf.Slate, fn: fun(row: moonshelf.SlateRow): number?)
---@field position moonshelf.Column
---@field [string] moonshelf.Column
---@operator len: integer
local slate = {}
---@param mask moonshelf.Mask
---@param factor number  above 0
---@param text? string   what explain says
function slate:boost(mask, factor, text) end
---@param mask moonshelf.Mask
function slate:keep(mask) end
---@param mask moonshelf.Mask
function slate:drop(mask) end
---@param options? moonshelf.SortOptions
function slate:sort(options) end
---@param column string|{ limits: table<string, integer>, split: string?, first: integer? }
---@param limit? integer
function slate:cap(column, limit) end
---@param options? moonshelf.VarietyOptions
function slate:mmr(options) end
--- The function sees each item.
---@param fn fun(row: moonshelf.SlateRow)
function slate:each(fn) end
---@param position integer
---@return string
function slate:id(position) end
---@param position integer
---@param column string
---@return string|number|nil
function slate:get(position, column) end
---@param name string
---@return moonshelf.Column
function slate:column(name) end

-- As the words of m.policy, with masks in the place of conditions.
---@param options moonshelf.ExcludeOptions
function slate:exclude(options) end
---@param options moonshelf.FrequencyOptions
function slate:frequency(options) end
---@param options moonshelf.SuppressOptions
function slate:suppress(options) end
---@param options moonshelf.BlendOptions
function slate:blend(options) end
---@param options moonshelf.FreshnessOptions
function slate:freshness(options) end
---@param options moonshelf.ClearanceOptions
function slate:clearance(options) end
---@param options moonshelf.PinOptions
function slate:pin(options) end
---@param options moonshelf.QuotaOptions
function slate:quota(options) end
---@param options moonshelf.RatioOptions
function slate:ratio(options) end
---@param options moonshelf.PatternOptions
function slate:pattern(options) end
---@param options moonshelf.DebunchOptions
function slate:debunch(options) end
---@param options moonshelf.MixOptions
function slate:mix(options) end
---@param options moonshelf.MarginOptions
function slate:margin(options) end
---@param options moonshelf.VarietyOptions
function slate:dpp(options) end
---@param options moonshelf.CalibrateOptions
function slate:calibrate(options) end
---@param options moonshelf.EpsilonOptions
function slate:epsilon(options) end
---@param options moonshelf.SampleOptions
function slate:sample(options) end
---@param options moonshelf.ThompsonOptions
function slate:thompson(options) end
---@param options moonshelf.LinucbOptions
function slate:linucb(options) end

--- An item of the slate in slate:each and slate:score: row.price. Reading only; an empty cell is nil.
---@class moonshelf.SlateRow
---@field id string
---@field score number
---@field position integer
---@field [string] string|number|nil

--- A column of the catalogue as the slate sees it; comparing it gives a mask.
---@class moonshelf.Column
local column = {}
---@param value number
---@return moonshelf.Mask
function column:lt(value) end
---@param value number
---@return moonshelf.Mask
function column:le(value) end
---@param value number
---@return moonshelf.Mask
function column:gt(value) end
---@param value number
---@return moonshelf.Mask
function column:ge(value) end
---@param value string|number
---@return moonshelf.Mask
function column:eq(value) end
---@param value string|number
---@return moonshelf.Mask
function column:ne(value) end
---@param values string[]|number[]
---@return moonshelf.Mask
function column:is_in(values) end

--- Which items of the slate; masks combine with &, | and ~.
---@class moonshelf.Mask
---@operator band(moonshelf.Mask): moonshelf.Mask
---@operator bor(moonshelf.Mask): moonshelf.Mask
---@operator bnot: moonshelf.Mask
local mask = {}
---@return integer
function mask:count() end

--- Who asks, for what, when.
---@class moonshelf.Ctx
---@field user { id: string?, known: boolean }
---@field surface string
---@field item string?    the item that a product page shows
---@field cart string[]
---@field now integer     microseconds since 1970 UTC
---@field clock moonshelf.Clock
---@field params table<string, string>

--- The request's time in UTC.
---@class moonshelf.Clock
local clock = {}
---@return integer
function clock:hour() end
---@return integer
function clock:minute() end
---@return integer
function clock:day() end
---@return integer
function clock:month() end
---@return integer
function clock:year() end
---@return integer  Monday is 1, Sunday is 7
function clock:weekday() end
---@return string  "2026-11-24"
function clock:date() end

--- A dense array; see m.tensor.
---@class moonshelf.Tensor
---@operator add(moonshelf.Operand): moonshelf.Tensor
---@operator sub(moonshelf.Operand): moonshelf.Tensor
---@operator mul(moonshelf.Operand): moonshelf.Tensor
---@operator div(moonshelf.Operand): moonshelf.Tensor

---@alias moonshelf.Operand moonshelf.Var|moonshelf.Tensor|moonshelf.Param|number
---@alias moonshelf.Positions moonshelf.Tensor|integer[]
---@alias moonshelf.Dtype "f32"|"f64"
---@alias moonshelf.TapeOptions { seed: integer?, training: boolean?, checks: boolean?, keep_grads: boolean? }
---@alias moonshelf.Form { [integer]: integer, ids: integer? }
---@alias moonshelf.BuildOptions { inputs: moonshelf.Form|table<string, moonshelf.Form>, seed: integer?, dtype: moonshelf.Dtype? }
---@alias moonshelf.Sequence { [1]: moonshelf.Tensor, lengths: moonshelf.Positions }
---@alias moonshelf.Inputs moonshelf.Operand|table<string, moonshelf.Operand|moonshelf.Sequence>
---@alias moonshelf.Epoch { epoch: integer, epochs: integer, train_loss: number, validation_loss: number? }

---@class moonshelf.ParamOptions
---@field name? string
---@field init? moonshelf.Init
---@field deviation? number
---@field dtype? moonshelf.Dtype
---@field sparse? boolean
---@field freeze? boolean
---@field seed? integer

--- A trainable tensor: m.nn.param.
---@class moonshelf.Param
local param = {}
---@return moonshelf.Tensor  over the parameter's own memory
function param:value() end
---@return moonshelf.Tensor
function param:grad() end
---@param value moonshelf.Tensor|number
---@return moonshelf.Param
function param:set(value) end
---@return moonshelf.Param
function param:zero() end
---@param on? boolean
---@return moonshelf.Param
function param:freeze(on) end
---@return boolean
function param:is_frozen() end
---@return string
function param:name() end
---@return integer[]
function param:shape() end

--- What m.nn.make_optimizer gives.
---@class moonshelf.Stepper
local stepper = {}
---@return moonshelf.Stepper
function stepper:step() end
---@return moonshelf.Stepper
function stepper:zero() end
---@return number
function stepper:lr() end
---@return integer
function stepper:steps() end
---@param path string
---@return moonshelf.Stepper
function stepper:save(path) end
---@param path string
---@return moonshelf.Stepper
function stepper:load(path) end

---@class moonshelf.FitOptions
---@field x moonshelf.Inputs
---@field y moonshelf.Tensor
---@field loss "bce"|"bce_logits"|"mse"|"cross_entropy"
---@field optimizer? moonshelf.Optimizer
---@field epochs? integer
---@field batch? integer
---@field validation? number
---@field seed? integer
---@field threads? integer
---@field patience? integer
---@field on_epoch? fun(epoch: moonshelf.Epoch): boolean?

--- What net:compile gives.
---@class moonshelf.Plan
local plan = {}
---@param x moonshelf.Tensor
---@param out? moonshelf.Tensor
---@return moonshelf.Tensor
function plan:predict(x, out) end
---@return integer
function plan:bytes() end
---@return "f32"|"bf16"|"int8"
function plan:precision() end
---@return number? most
---@return number? mean
function plan:difference() end

--- What m.nn.build gives.
---@class moonshelf.Net
---@overload fun(tape: moonshelf.Tape, inputs: moonshelf.Inputs): moonshelf.Var
local net = {}
---@param options moonshelf.FitOptions
---@return { train_loss: number[], validation_loss: number[]?, best_epoch: integer }
function net:fit(options) end
---@param inputs moonshelf.Inputs
---@return moonshelf.Tensor
function net:predict(inputs) end
---@param options? { precision: "f32"|"bf16"|"int8"|nil, calibrate: moonshelf.Tensor? }
---@return moonshelf.Plan
function net:compile(options) end
---@return moonshelf.Param[]
function net:params() end
---@param tape moonshelf.Tape
---@return moonshelf.Var?
function net:penalty(tape) end
---@return table<string, moonshelf.Tensor>
function net:state() end
---@param state table<string, moonshelf.Tensor>|string
---@return moonshelf.Net
function net:load(state) end
---@param path string
function net:save(path) end
---@return string
function net:summary() end
---@param on? boolean
---@return moonshelf.Net
function net:train(on) end
---@param on? boolean
---@return moonshelf.Net
function net:freeze(on) end

--- What is computed is noted on a tape: m.grad().
---@class moonshelf.Tape
---@field gather fun(self: moonshelf.Tape, table: moonshelf.Param, positions: moonshelf.Positions): moonshelf.Var
---@field bce fun(self: moonshelf.Tape, probability: moonshelf.Operand, target: moonshelf.Operand): moonshelf.Var
---@field mse fun(self: moonshelf.Tape, prediction: moonshelf.Operand, target: moonshelf.Operand): moonshelf.Var
---@field [string] fun(self: moonshelf.Tape, ...: any): moonshelf.Var
local tape = {}
function tape:reset() end
---@param value moonshelf.Tensor|number
---@return moonshelf.Var
function tape:constant(value) end
---@param parameter moonshelf.Param
---@return moonshelf.Var
function tape:leaf(parameter) end
---@param loss moonshelf.Var
function tape:backward(loss) end
---@generic T
---@param fn fun(...: any): T
---@return T
function tape:no_grad(fn, ...) end
---@generic T
---@param name string
---@param fn fun(...: any): T
---@return T
function tape:scope(name, fn, ...) end
---@param fn fun(...: moonshelf.Var): moonshelf.Var
---@param ... moonshelf.Operand
---@return moonshelf.Var
function tape:checkpoint(fn, ...) end
---@param op { name: string, inputs: moonshelf.Operand[], forward: function, backward: function? }
---@return moonshelf.Var
function tape:custom(op) end
---@param on? boolean
---@return moonshelf.Tape
function tape:checks(on) end
---@param on? boolean
---@return moonshelf.Tape
function tape:train(on) end
---@return integer
function tape:bytes() end

--- A value on a tape.
---@class moonshelf.Var
---@operator add(moonshelf.Operand): moonshelf.Var
---@operator sub(moonshelf.Operand): moonshelf.Var
---@operator mul(moonshelf.Operand): moonshelf.Var
---@operator div(moonshelf.Operand): moonshelf.Var
---@operator pow(number): moonshelf.Var
---@operator unm: moonshelf.Var
---@field [string] fun(self: moonshelf.Var, ...: any): moonshelf.Var
local var = {}
---@return moonshelf.Tensor
function var:value() end
---@return moonshelf.Tensor?
function var:grad() end
---@return number
function var:item() end
---@return integer[]
function var:shape() end
---@return moonshelf.Tape
function var:tape() end
