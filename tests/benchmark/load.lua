-- Posts prepared bodies in turn, if there are any (arguments: their directory and number), and prints what
-- came of it as JSON.
local requests = {}
local last = 0

function init(args)
  for number = 0, tonumber(args[2] or 0) - 1 do
    local file = assert(io.open(args[1] .. "/" .. number, "rb"))
    requests[#requests + 1] = wrk.format("POST", wrk.path, {["Content-Type"] = "application/json"}, file:read("*a"))
    file:close()
  end
  if #requests == 0 then
    requests[1] = wrk.format("GET", wrk.path)
  end
end

function request()
  last = last % #requests + 1
  return requests[last]
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    '{"requests": %d, "seconds": %f, "failures": %d, "p50": %f, "p90": %f, "p99": %f}',
    summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(90) / 1e3, latency:percentile(99) / 1e3
  ))
end
