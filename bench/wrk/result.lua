-- What every script ends with: a line of requests a second, p50 and p99 in microseconds, answers that were errors, and
-- connections that failed.

-- Of requests so slow that a connection has seen few of them, those that were cut off at the end would be missed: then
-- the rate is what so many connections that wait so long make.
local few = 10

function done(summary, latency)
  local errors = summary.errors
  local connections = tonumber(os.getenv("BENCH_CONNECTIONS"))
  local rate = summary.requests / (summary.duration / 1e6)
  if summary.requests > 0 and summary.requests < few * connections then
    rate = connections / (latency.mean / 1e6)
  end
  io.write(string.format("result\t%.3f\t%d\t%d\t%d\t%d\n", rate, latency:percentile(50), latency:percentile(99),
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
