-- A new group with each request: `-- FILE`, which holds what is sent, with @name@ for its name. To an address that ends
-- with a slash (of a CouchDB's database) an id is added.
dofile("bench/wrk/result.lua")

local before, after

function init(arguments)
  local file = assert(io.open(arguments[1]))
  before, after = file:read("*a"):match("^(.*)@name@(.*)$")
  file:close()
  wrk.headers["Content-Type"] = "application/json"
  draw_anew()
end

local function digits()
  return string.format("%08x", math.random(0, 0xffffffff))
end

function request()
  local id = digits() .. digits() .. digits() .. digits()
  local path = wrk.path:sub(-1) == "/" and wrk.path .. id or wrk.path
  return wrk.format("PUT", path, nil, before .. id .. after)
end
