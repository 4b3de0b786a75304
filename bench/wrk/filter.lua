-- A filter that finds one group, another with each request: `-- GROUPS`. A second condition, which always holds, makes
-- every query one that was never asked before.
dofile("bench/wrk/result.lua")

local groups, asked = 1, 0

function init(arguments)
  groups = tonumber(arguments[1])
  draw_anew()
  asked = math.random(0, 1e9)
end

function request()
  asked = asked + 1
  local name = math.random(0, groups - 1)
  return wrk.format("GET", string.format("%s?filter_name=group-%d&filter_not_name=%d", wrk.path, name, asked))
end
