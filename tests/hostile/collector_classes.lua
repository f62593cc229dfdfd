-- tries: what classes do with metatables still works
-- expect: works
local Base = {}
Base.__index = Base
function Base.name() return "base" end
local Derived = setmetatable({}, { __index = Base, __call = function(class) return setmetatable({}, class) end })
Derived.__index = Derived
local d = Derived()
assert(d.name() == "base" and getmetatable(d) == Derived and getmetatable(Derived).__index == Base)
function Derived.name() return "derived" end
assert(d.name() == "derived" and getmetatable(Base) == nil)
local e = Derived()
assert(e.name() == "derived")
