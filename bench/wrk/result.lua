-- What every script ends with: a line of requests a second, p50 and p99 in microseconds, answers that were errors, and
-- connections that failed.

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format("result\t%.3f\t%d\t%d\t%d\t%d\n",
    summary.requests / (summary.duration / 1e6), latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end

-- Each thread has a number, and draws other numbers than another does, or than it did the last time.
local threads = 0

function setup(thread)
  thread:set("thread", threads)
  threads = threads + 1
end

function draw_anew()
  math.randomseed(os.time() * 64 + thread)
end
