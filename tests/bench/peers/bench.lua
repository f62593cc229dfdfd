-- What the scripts here measure with: warm up, five runs, the median. The answer is a line of JSON, which run.py reads.
local bench = { RUNS = 5 }

local function wall_clock()
  local file = assert(io.open "/proc/uptime") -- to 10 ms
  local now = file:read "n"
  file:close()
  return now
end

-- Seconds a call, by about BENCH_SECONDS of calls a run: of the processor's time, since what neighbours took does not count; of several
-- threads, of the wall clock's.
function bench.seconds(fn, threads)
  local now, seconds = threads and threads > 1 and wall_clock or os.clock, tonumber(os.getenv "BENCH_SECONDS") or 1
  for _ = 1, 3 do fn() end
  local start, calls, runs = now(), 0, {}
  repeat
    fn()
    calls = calls + 1
  until now() - start > seconds / 4
  calls = calls * 4
  for r = 1, bench.RUNS do
    start = now()
    for _ = 1, calls do fn() end
    runs[r] = (now() - start) / calls
  end
  table.sort(runs)
  return runs[(bench.RUNS + 1) // 2]
end

local function peak_mib()
  local file = io.open "/proc/self/status"
  local peak = file and file:read "a":match "VmHWM:%s*(%d+)"
  if file then file:close() end
  return (tonumber(peak) or 0) / 1024
end

function bench.report(seconds) print(('{"seconds": %.9f, "peak_mib": %.1f}'):format(seconds, peak_mib())) end

return bench
