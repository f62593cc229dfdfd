-- policy_tables.lua - bench_policy's chain as one would write it over plain tables: filter, boost, caps, MMR to 50 (d 64), debunch, pins,
-- over 500 candidates. Runs under lua5.4 and luajit; prints "p50 US p99 US".
local CANDIDATES, DIM, ROUNDS = 500, 64, tonumber(arg and arg[1]) or 60
local random, sqrt, clock = math.random, math.sqrt, os.clock

local items = {}
for i = 1, 20000 do
  local vector, sum = {}, 0
  for d = 1, DIM do
    vector[d] = random() + random() + random() + random() - 2
    sum = sum + vector[d] * vector[d]
  end
  for d = 1, DIM do vector[d] = vector[d] / sqrt(sum) end -- done once, before the clock runs: a kindness to this side
  items[i] = { id = i, category = random(40), brand = random(200), price = 100 * random(), stock = random(300), vector = vector }
end

local function by_score(a, b)
  if a.score ~= b.score then return a.score > b.score end
  return a.id < b.id
end

local function candidates()
  local list, seen = {}, {}
  while #list < CANDIDATES do
    local item = items[random(#items)]
    if not seen[item] then
      seen[item] = true
      list[#list + 1] = { id = item.id, item = item, score = random() }
    end
  end
  table.sort(list, by_score)
  return list
end

local function filter(list)
  local out = {}
  for i = 1, #list do
    if list[i].item.price < 90 then out[#out + 1] = list[i] end
  end
  return out
end

local function boost(list)
  for i = 1, #list do
    local entry = list[i]
    if entry.item.price < 20 and entry.item.stock > 5 then entry.score = entry.score * 1.3 end
  end
  table.sort(list, by_score)
  return list
end

local function cap(list)
  local out, of_category, of_brand = {}, {}, {}
  for i = 1, #list do
    local c, b = list[i].item.category, list[i].item.brand
    local n, k = of_category[c] or 0, of_brand[b] or 0
    if n < 15 and k < 6 then
      of_category[c], of_brand[b] = n + 1, k + 1
      out[#out + 1] = list[i]
    end
  end
  return out
end

local function mmr(list, picks)
  local n, low, high = #list, math.huge, -math.huge
  for i = 1, n do low, high = math.min(low, list[i].score), math.max(high, list[i].score) end
  local weight, nearest, picked, out = {}, {}, {}, {}
  for i = 1, n do weight[i], nearest[i] = 0.7 * (list[i].score - low) / (high - low), 0 end
  for k = 1, math.min(picks, n) do
    local best, most = 0, -math.huge
    for i = 1, n do
      local value = weight[i] - 0.3 * nearest[i]
      if not picked[i] and value > most then best, most = i, value end
    end
    picked[best], out[k] = true, list[best]
    local x = list[best].item.vector
    for i = 1, n do
      if not picked[i] then
        local y, sum = list[i].item.vector, 0
        for d = 1, DIM do sum = sum + x[d] * y[d] end
        if k == 1 or sum > nearest[i] then nearest[i] = sum end
      end
    end
  end
  for i = 1, n do
    if not picked[i] then out[#out + 1] = list[i] end
  end
  return out
end

local function debunch(list)
  local out, taken = {}, {}
  local function fits(entry)
    local same = 0
    for j = math.max(1, #out - 2), #out do
      if out[j].item.category == entry.item.category then same = same + 1 end
    end
    return same < 2
  end
  for _ = 1, math.min(50, #list) do
    local choice
    for i = 1, #list do
      if not taken[i] then
        if fits(list[i]) then
          choice = i
          break
        end
      end
    end
    if not choice then
      choice = 1
      while taken[choice] do choice = choice + 1 end
    end
    taken[choice] = true
    out[#out + 1] = list[choice]
  end
  for i = 1, #list do
    if not taken[i] then out[#out + 1] = list[i] end
  end
  return out
end

local function pin(list, id, at)
  for i = 1, #list do
    if list[i].id == id then
      table.insert(list, at, (table.remove(list, i)))
      return list
    end
  end
  table.insert(list, at, { id = id, item = items[id], score = 0 })
  return list
end

local took = {}
for round = 1, ROUNDS do
  local list = candidates()
  local start = clock()
  list = debunch(mmr(cap(boost(filter(list))), 50))
  pin(pin(pin(list, 7, 1), 9, 4), 8, 4)
  took[round] = (clock() - start) * 1e6
end
table.sort(took)
print(("p50 %.1f p99 %.1f"):format(took[math.ceil(ROUNDS / 2)], took[math.ceil(ROUNDS * 0.99)]))
