-- Renew leases. A fence newer than the one known here, for a job that has not ended, is adopted.
-- KEYS     1 root
-- ARGV     1 lease_ms; then for each lease, lines of: job id, fence, attempt, worker id
-- returns  one text: `held`, `stale` or `cancel` for each lease, separated by spaces
local lease_ms = tonumber(ARGV[1])
local real = server_time()
local answers = {}
for a = 2, #ARGV do
  local lease = lines_of(ARGV[a])
  local id, fence = lease[1], tonumber(lease[2])
  local f = redis.call('HMGET', JOB .. id, 'state', 'fence', 'cancel', 'lease_ms')
  local active = f[1] == 'running' or f[1] == 'suspended'
  local waiting = f[1] == 'pending' or f[1] == 'scheduled' or f[1] == 'ready'
  local held = active and tonumber(f[2]) == fence
  if not held and (active or waiting) and fence > tonumber(f[2]) then
    adopt(fetch(id), fence, tonumber(lease[3]), lease[4], grid_time(real))
    held = true
  end
  if held then
    redis.call('ZADD', LEASES, real + lease_ms, id)
    if f[4] ~= ARGV[1] then redis.call('HSET', JOB .. id, 'lease_ms', lease_ms) end
    answers[#answers + 1] = f[3] == '1' and 'cancel' or 'held'
  else
    answers[#answers + 1] = 'stale'
  end
end
return table.concat(answers, ' ')
