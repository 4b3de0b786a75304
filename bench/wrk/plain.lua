-- The same request again and again.
dofile("bench/wrk/result.lua")
