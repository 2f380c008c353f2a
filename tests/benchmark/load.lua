-- Posts prepared bodies in turn, if there are any, and prints what came of it as JSON. Arguments: the bodies'
-- directory and number; and, for events that come in the order of time, the first time, in ms, that stands in
-- place of the one in each body, and how many requests later it is a ms later.
local requests = {}
local last = 0
local sent = 0
local first, each

function init(args)
  first, each = tonumber(args[3]), tonumber(args[4])
  for number = 0, tonumber(args[2] or 0) - 1 do
    local file = assert(io.open(args[1] .. "/" .. number, "rb"))
    local text = wrk.format("POST", wrk.path, {["Content-Type"] = "application/json"}, file:read("*a"))
    file:close()
    if first then
      local before, after = text:match('^(.*"time":)%d+(.*)$')
      text = {before, after}
    end
    requests[#requests + 1] = text
  end
  if #requests == 0 then
    requests[1] = wrk.format("GET", wrk.path)
  end
end

function request()
  last = last % #requests + 1
  local text = requests[last]
  if first then
    text = string.format("%s%d%s", text[1], first + math.floor(sent / each), text[2])
    sent = sent + 1
  end
  return text
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
