-- Return jobs whose lease has run out to their lines. A server that has just come back first gives each worker the
-- length of its lease to say what still runs.
-- KEYS     1 root
-- ARGV     1 now  2 most lost attempts  3 most jobs
-- returns  ids of the jobs that were lost
local now, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local real = server_time()
local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
if redis.call('HGET', SERVER, 'run_id') ~= run_id then
  redis.call('HSET', SERVER, 'run_id', run_id, 'seen', real)
end
local seen = tonumber(redis.call('HGET', SERVER, 'seen'))
local lost = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', LEASES, '-inf', real, 'LIMIT', 0, ARGV[3])) do
  local lease_ms = tonumber(redis.call('HGET', JOB .. id, 'lease_ms')) or 0
  if real >= seen + lease_ms then
    lose(fetch(id), now, real, most)
    lost[#lost + 1] = id
  end
end
return lost
