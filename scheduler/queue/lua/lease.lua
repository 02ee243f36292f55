-- Make ready what is due, then grant the best that fits the worker: highest priority, then nearest latest safe start,
-- then first submitted. Looks at the heads of the lines, never at every job.
-- KEYS     1 root
-- ARGV     1 now  2 lease_ms  3 most grants  4 worker id  5 pool  6 zone  7 free gpus  8 gpu model (lower case)
--          9 gpu_memory_b  10 free cpus  11 free memory_b  12 most jobs to make ready
-- returns  for each grant: what was asked for (JSON), and where the job stands (a JSON list, see portray)
local now, lease_ms, batch = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[12])
local real, micros = server_time()

local function due(set, moment) return redis.call('ZRANGEBYSCORE', set, '-inf', moment, 'LIMIT', 0, batch) end

for _, id in ipairs(due(BACKOFF, real)) do -- a retry whose backoff is over waits for its planned start, if it has one
  redis.call('ZREM', BACKOFF, id)
  local job = fetch(id)
  redis.call('ZADD', WAITING, job.planned and due_of(job) or now, id)
end
for _, id in ipairs(due(DROPS, now)) do
  local job = fetch(id)
  stop_waiting(job)
  end_job(job, 'expired', 'expired', now, real, 'its deadline can no longer be met',
    'error', 'dropped: its deadline could no longer be met')
end
local ripe = due(WAITING, now)
for _, id in ipairs(ripe) do become_ready(fetch(id), now) end
for first = 1, #ripe, 1000 do -- as many arguments as Lua passes safely
  redis.call('ZREM', WAITING, unpack(ripe, first, math.min(first + 999, #ripe)))
end
for _, id in ipairs(due(PINNED, now)) do -- its pool had its chance: from its latest safe start on, any pool will do
  local job = fetch(id)
  leave_line(job)
  join_line(job, now)
end

-- Lines that this worker may serve: its pool's and everybody's. A line that has emptied is struck off.
local most = tonumber(ARGV[3])
local lines = {}
for _, pool in ipairs({ARGV[5], ''}) do
  for _, class in ipairs(redis.call('SMEMBERS', LINES .. pool)) do
    local waiting = redis.call('ZRANGE', LINE .. pool .. '|' .. class, 0, most - 1)
    if #waiting == 0 then redis.call('SREM', LINES .. pool, class)
    else lines[#lines + 1] = {waiting = waiting, next = 1, need = cjson.decode(class)} end
  end
  if pool == '' then break end
end

local zone, model = ARGV[6], ARGV[8]
local gpus, gpu_memory, cpus, memory = tonumber(ARGV[7]), tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])

local function in_zone(zones)
  if #zones == 0 then return true end
  for _, name in ipairs(zones) do
    if name == zone then return true end
  end
  return false
end

-- The rules of Capacity.fits.
local function fits(need)
  if need.gpus > gpus or need.cpus > cpus or need.memory_b > memory then return false end
  if need.gpus > 0 and (need.gpu_memory_b > gpu_memory or not string.find(model, need.gpu_model, 1, true)) then
    return false
  end
  return in_zone(need.zones)
end

local function best_line()
  local best, best_head
  for _, line in ipairs(lines) do
    local head = line.waiting[line.next]
    if head and (not best or head < best_head) and fits(line.need) then best, best_head = line, head end
  end
  return best, best_head
end

local expiry = int(real + lease_ms)

-- One read for all that a grant needs: what readers are told (STANDING), then what the line and the states go by.
local FIELDS = {unpack(STANDING)}
local ASK = #STANDING
for _, name in ipairs({'seq', 'class', 'rank', 'line', 'drop_at'}) do FIELDS[#FIELDS + 1] = name end

local function grant(id)
  local f = redis.call('HMGET', JOB .. id, unpack(FIELDS))
  local job = {
    id = id, state = f[1], fence = tonumber(f[8]), attempts = tonumber(f[9]),
    seq = f[ASK + 1], class = f[ASK + 2], rank = f[ASK + 3], line = f[ASK + 4], drop_at = tonumber(f[ASK + 5] or ''),
  }
  job.fence = math.max(job.fence + 1, micros) -- ahead of every fence given before, also if this data was rolled back
  local fence, attempts = int(job.fence), tostring(job.attempts + 1)
  enter(job, 'running', 'fence', fence, 'attempts', attempts, 'worker_id', ARGV[4], 'lease_ms', lease_ms,
    'started_at', ARGV[1], 'reason', '', 'reason_detail', '', 'retry_at', '')
  add_later(LEASES, expiry, id)
  remove_later(LINE .. (job.line or '') .. '|' .. job.class, job.rank)
  if (job.line or '') ~= '' then remove_later(PINNED, id) end
  if job.drop_at then remove_later(DROPS, id) end
  announce('leased', job, now, ARGV[4])
  local told = {unpack(f, 1, ASK - 1)}
  told[1], told[2], told[3], told[8], told[9] = 'running', '', '', fence, attempts
  told[12], told[14], told[15], told[ASK] = ARGV[4], '', ARGV[1], expiry
  return f[ASK], cjson.encode(told)
end

local grants = {}
for _ = 1, most do
  local line, head = best_line()
  if not line then break end
  line.next = line.next + 1
  gpus, cpus, memory = gpus - line.need.gpus, cpus - line.need.cpus, memory - line.need.memory_b
  grants[#grants + 1], grants[#grants + 2] = grant(string.sub(head, RANK_LENGTH + 1))
end
return grants
